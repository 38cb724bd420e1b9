// Memory that the process does not need any more.
#pragma once

namespace sluice {

// Gives pages back to the kernel that this thread's allocations have left free. The allocator does
// so by itself only while it is used. Nothing with another allocator than mimalloc.
void GiveBackMemory();

}  // namespace sluice
