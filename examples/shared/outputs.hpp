// What the programs write at the end: places that are checked before the work, and files of which a bad one does not
// cost the others.
#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace rt_shared {

/// The files of a command, by flag.
class Outputs {
 public:
  /// A file that will be written; an empty path is none. Makes its folder now.
  /// Errors: those of prepare_output_file; a file that another flag names too.
  void add(const std::string& flag, const std::filesystem::path& file, std::function<void()> write);

  /// Writes every file, in the order of add. Errors: after the last one, those of all that failed.
  void write() const;

 private:
  struct Output {
    std::string flag;
    std::filesystem::path file;
    std::function<void()> write;
  };
  std::vector<Output> outputs_;
};

}  // namespace rt_shared
