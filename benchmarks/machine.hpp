// What the JSON of a benchmark says about where it was measured.
#pragma once
#include <torch/version.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
#include <string>

namespace bench {

inline std::string first_line_of(const char* command) {
  std::string out;
  if (FILE* pipe = ::popen(command, "r")) {
    for (int c = std::fgetc(pipe); c != EOF && c != '\n'; c = std::fgetc(pipe)) out.push_back(static_cast<char>(c));
    ::pclose(pipe);
  }
  return out;
}

inline std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  std::map<std::string, std::string> found;
  for (std::string line; std::getline(file, line) && !line.empty();) {
    const auto colon = line.find(':');
    if (colon != std::string::npos && colon + 2 <= line.size())
      found.emplace(line.substr(0, line.find_last_not_of("\t ", colon - 1) + 1),
                    line.substr(std::min(colon + 2, line.size())));
  }
  const std::string name = found["model name"];
  return name.empty() ? "unknown" : name + " (family " + found["cpu family"] + ", model " + found["model"] + ")";
}

inline std::string commit() {
  const std::string hash = first_line_of("git -C '" REWARD_TUNER_SOURCE_DIR
                                         "' describe --always --dirty --abbrev=12 --exclude '*' 2>/dev/null");
  return hash.empty() ? "unknown" : hash;
}

/// Device, commit, day and versions.
inline std::map<std::string, std::string> machine() {
  return {{"device", cpu_model()},
          {"commit", commit()},
          {"date", first_line_of("date +%Y-%m-%d")},
          {"torch", TORCH_VERSION},
          {"compiler", "g++ " __VERSION__}};
}

}  // namespace bench
