// small_run_program MODEL RUN UPDATES [resume]: a small training run in a process of its own, which
// kill_and_resume_test kills. It tells its stages on standard output: 'w' before the run's folder is opened, then '0'
// to '4' at the stages of every checkpoint.
#include <ATen/Parallel.h>
#include <unistd.h>

#include <exception>
#include <iostream>
#include <string>

#include <tests/reference/small_run.hpp>

namespace {

void tell(char stage) {
  if (::write(STDOUT_FILENO, &stage, 1) != 1) ::_exit(3);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  at::set_num_threads(1);
  auto options = reward_tuner::reference::small_run_options(std::stol(argv[3]), 10, 2);
  options.tensorboard = false;
  options.resume = argc > 4;
  options.on_save = [](reward_tuner::SaveStage stage) { tell(static_cast<char>('0' + static_cast<int>(stage))); };
  try {
    tell('w');
    reward_tuner::reference::small_run(argv[1], argv[2], options);
  } catch (const std::exception& problem) {
    std::cerr << problem.what() << '\n';
    return 1;
  }
  return 0;
}
