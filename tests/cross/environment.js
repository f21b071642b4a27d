// For programs under node: without this they have an environment of their own, in which GoogleTest does not find its part of the tests.
Module.preRun = [() => Object.assign(ENV, process.env)];
