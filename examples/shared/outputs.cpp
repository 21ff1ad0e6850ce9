#include "outputs.hpp"

#include <exception>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/output_path.hpp>

namespace rt_shared {

namespace rt = reward_tuner;

void Outputs::add(const std::string& flag, const std::filesystem::path& file, std::function<void()> write) {
  if (file.empty()) return;
  rt::prepare_output_file(file);
  const auto whole = std::filesystem::weakly_canonical(file);
  for (const Output& other : outputs_)
    REWARD_TUNER_CHECK(other.file != whole, "[rt-tune] ", flag, " expected a file of its own, got that of ", other.flag,
                       ": ", file.string());
  outputs_.push_back({flag, whole, std::move(write)});
}

void Outputs::write() const {
  std::string problems;
  for (const Output& output : outputs_) {
    try {
      output.write();
    } catch (const std::exception& problem) {
      problems += (problems.empty() ? "" : "\n") + output.flag + ": " + problem.what();
    }
  }
  if (!problems.empty()) rt::detail::fail(problems);
}

}  // namespace rt_shared
