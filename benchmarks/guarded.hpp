// The main function of every benchmark program.
#pragma once
#include <exception>
#include <iostream>

namespace bench {

/// The exit code of `run(argc, argv)`; an exception's message goes to the terminal and makes it 1.
template <class Run>
int guarded(Run run, int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& problem) {
    std::cerr << "error: " << problem.what() << '\n';
  }
  return 1;
}

}  // namespace bench
