// The tests, in the order of their files. `engines` is 'both' (default) or 'one', for what has
// nothing to do with the engine.
export const tests = [];

export function suite(file) {
  return (name, options, body) => {
    if (typeof options === 'function') {
      body = options;
      options = {};
    }
    tests.push({file, name, engines: options.engines ?? 'both', body});
  };
}
