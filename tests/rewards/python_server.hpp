// A Python program that serves tests: its first line of output is its address.
#pragma once
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>

extern char** environ;

namespace python_server {

/// Runs `python3 ARGUMENTS...` while it lives. The program's standard input is a pipe that closes with this process.
class PythonServer {
 public:
  explicit PythonServer(std::vector<std::string> arguments, const std::string& folder = ".") {
    int in[2] = {-1, -1}, out[2] = {-1, -1};
    REWARD_TUNER_CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0,
                       "[PythonServer] expected pipes, got none");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
    arguments.insert(arguments.begin(), "python3");
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    const int problem = posix_spawnp(&process_, "python3", &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    input_ = in[1];
    if (std::FILE* lines = fdopen(out[0], "r"); problem == 0 && lines != nullptr) {
      char line[256] = "";
      if (std::fgets(line, sizeof line, lines) != nullptr) url_ = line;
      std::fclose(lines);
    }
    while (!url_.empty() && url_.back() == '\n') url_.pop_back();
    REWARD_TUNER_CHECK(!url_.empty(), "[PythonServer] expected a line with an address, got none");
  }
  PythonServer(const PythonServer&) = delete;
  PythonServer& operator=(const PythonServer&) = delete;
  ~PythonServer() {
    close(input_);
    kill(process_, SIGTERM);
    waitpid(process_, nullptr, 0);
  }

  const std::string& url() const { return url_; }

 private:
  pid_t process_ = 0;
  int input_ = -1;
  std::string url_;
};

}  // namespace python_server
