// The commands of sluice-bench: each adds its options and, when called, sets the exit status.
//
// Thread: main. Errors: printed as one line; the exit status says which kind (see main.cc).
#pragma once

namespace CLI {
class App;
}

namespace sluice::bench {

void AddFanout(CLI::App* app, int* exit_status);
void AddBurst(CLI::App* app, int* exit_status);
void AddCompare(CLI::App* app, int* exit_status);
void AddConnect(CLI::App* app, int* exit_status);
void AddIdle(CLI::App* app, int* exit_status);
void AddResume(CLI::App* app, int* exit_status);
void AddFloor(CLI::App* app, int* exit_status);
void AddFloorServer(CLI::App* app, int* exit_status);

}  // namespace sluice::bench
