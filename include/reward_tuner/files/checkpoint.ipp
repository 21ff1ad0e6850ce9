// Definitions of checkpoint.hpp.
#pragma once
#include <reward_tuner/files/checkpoint.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <system_error>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/atomic_file.hpp>
#include <reward_tuner/files/checksum.hpp>
#include <reward_tuner/files/file_bytes.hpp>
#include <reward_tuner/files/folder.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/files/sealed_json.hpp>

namespace reward_tuner {

namespace detail {

inline std::string tensor_checksum(const Tensor& tensor) {
  const Tensor plain = tensor.detach().to(at::kCPU).contiguous();
  return checksum(plain.const_data_ptr(), plain.nbytes());
}

/// Of a safetensors file's length field and header. Errors: a file that is too short for them or cannot be read.
inline std::string header_checksum(const std::filesystem::path& file) {
  std::uint64_t length = 0;
  std::string bytes = read_bytes(file, sizeof length);
  std::memcpy(&length, bytes.data(), bytes.size());
  std::error_code code;
  const bool fits = bytes.size() == sizeof length && length <= std::filesystem::file_size(file, code) && !code;
  if (fits) bytes = read_bytes(file, sizeof length + length);
  REWARD_TUNER_CHECK(fits && bytes.size() == sizeof length + length, "[Checkpoint] '", file.string(),
                     "' is damaged: expected a header of the length that its first bytes say, got ", length);
  return checksum(bytes);
}

}  // namespace detail

REWARD_TUNER_INLINE CheckpointFolder::CheckpointFolder(std::filesystem::path folder, int keep)
    : folder_(std::move(folder)), keep_(keep) {
  REWARD_TUNER_CHECK(keep_ >= 1, "[Checkpoint] keep must be >= 1, got ", keep_);
}

REWARD_TUNER_INLINE void CheckpointFolder::save(std::int64_t update, const Checkpoint& checkpoint,
                                                const std::function<void(SaveStage)>& hook) const {
  REWARD_TUNER_CHECK(update >= 0, "[Checkpoint] expected an update >= 0, got ", update);
  const auto target = path(update);
  REWARD_TUNER_CHECK(!usable(target), "[Checkpoint] there is one at '", target.string(), "' already");
  const auto at = [&](SaveStage stage) {
    if (hook) hook(stage);
  };
  std::error_code code;
  make_folder(folder_);
  remove_leftovers();
  Unfinished part{folder_ / (".writing-" + target.filename().string())};
  std::filesystem::create_directory(part.path, code);
  if (code) detail::file_failure(part.path, "create the folder", code.value());
  at(SaveStage::kBegun);
  save_safetensors(part.path / kTensors, checkpoint.tensors);
  at(SaveStage::kTensors);
  nlohmann::json sums = nlohmann::json::object();
  for (const auto& [name, tensor] : checkpoint.tensors) sums[name] = detail::tensor_checksum(tensor);
  // The size lets `usable` see a tensor file that some copy cut short.
  write_sealed_json(part.path / kState, {{"format", kFormat},
                                         {"update", update},
                                         {"tensor_bytes", std::filesystem::file_size(part.path / kTensors)},
                                         {"header_checksum", detail::header_checksum(part.path / kTensors)},
                                         {"checksums", sums},
                                         {"state", checkpoint.state}});
  at(SaveStage::kState);
  if (std::filesystem::exists(target, code)) discard(target);  // a broken one
  if (::rename(part.path.c_str(), target.c_str()) != 0)
    detail::file_failure(target, "rename the finished checkpoint to", errno);
  part.finished = true;
  flush_folder(folder_);
  at(SaveStage::kInPlace);
  const auto all = updates();
  for (std::size_t i = 0; i + static_cast<std::size_t>(keep_) < all.size(); ++i)
    if (all[i] != update) discard(path(all[i]));
  at(SaveStage::kPruned);
}

REWARD_TUNER_INLINE std::vector<std::int64_t> CheckpointFolder::updates() const {
  auto found = numbered();
  std::erase_if(found, [this](std::int64_t update) { return !usable(path(update)); });
  return found;
}

REWARD_TUNER_INLINE std::optional<std::int64_t> CheckpointFolder::latest() const {
  const auto all = updates();
  return all.empty() ? std::nullopt : std::optional(all.back());
}

REWARD_TUNER_INLINE Checkpoint CheckpointFolder::load(std::int64_t update) const {
  const auto from = path(update);
  const auto json = read_sealed_json(from / kState);
  REWARD_TUNER_CHECK(json.is_object() && json.value("format", nlohmann::json()) == kFormat, "[Checkpoint] '",
                     (from / kState).string(), "' expected format ", kFormat, ", got ",
                     json.is_object() ? json.value("format", nlohmann::json()).dump() : std::string("no object"));
  REWARD_TUNER_CHECK(usable(from), "[Checkpoint] '", from.string(),
                     "' is incomplete: its tensor file is missing or has another size than ", kState, " says");
  const auto same = [&](const std::string& what, const std::string& wanted, const std::string& got) {
    REWARD_TUNER_CHECK(wanted == got, "[Checkpoint] '", (from / kTensors).string(),
                       "' is damaged: expected the checksum ", wanted, " of ", what, ", got ", got);
  };
  same("its header", json.at("header_checksum").get<std::string>(), detail::header_checksum(from / kTensors));
  const auto file = SafetensorsFile::open(from / kTensors);
  Checkpoint checkpoint;
  for (const auto& name : file.names()) {
    const Tensor tensor = file.tensor(name);
    same("the tensor " + name, json.at("checksums").at(name).get<std::string>(), detail::tensor_checksum(tensor));
    checkpoint.tensors.emplace(name, tensor);
  }
  checkpoint.state = json.at("state");
  return checkpoint;
}

REWARD_TUNER_INLINE NewestCheckpoint
CheckpointFolder::load_newest(const std::function<void(const Checkpoint&)>& check) const {
  NewestCheckpoint newest;
  auto all = numbered();
  for (; !all.empty(); all.pop_back()) {
    try {
      newest.checkpoint = load(all.back());
      if (check) check(newest.checkpoint);
      newest.update = all.back();
      return newest;
    } catch (const std::exception& problem) {
      newest.checkpoint = {};
      newest.broken.push_back(all.back());
      newest.notes.push_back("the checkpoint '" + path(all.back()).string() +
                             "' cannot be used and is skipped: " + problem.what());
    }
  }
  return newest;
}

REWARD_TUNER_INLINE void CheckpointFolder::set_aside(std::int64_t update) const {
  const auto aside = folder_ / ("broken-" + path(update).filename().string());
  std::error_code code;
  std::filesystem::remove_all(aside, code);
  std::filesystem::rename(path(update), aside, code);
  if (code) detail::file_failure(path(update), "set aside", code.value());
}

REWARD_TUNER_INLINE std::filesystem::path CheckpointFolder::path(std::int64_t update) const {
  std::string digits = std::to_string(update);
  digits.insert(0, digits.size() < 6 ? 6 - digits.size() : 0, '0');
  return folder_ / (std::string(kPrefix) + digits);
}

REWARD_TUNER_INLINE std::vector<std::int64_t> CheckpointFolder::numbered() const {
  std::vector<std::int64_t> found;
  for (const std::string& name : names_in(folder_)) {
    if (!name.starts_with(kPrefix) || name.size() == kPrefix.size() || name.size() > kPrefix.size() + 18) continue;
    if (name.find_first_not_of("0123456789", kPrefix.size()) != std::string::npos) continue;
    const auto update = std::stoll(name.substr(kPrefix.size()));
    if (path(update) == folder_ / name) found.push_back(update);  // update-7 is not ours
  }
  std::sort(found.begin(), found.end());
  return found;
}

REWARD_TUNER_INLINE CheckpointFolder::Unfinished::~Unfinished() {
  std::error_code ignored;
  if (!finished) std::filesystem::remove_all(path, ignored);
}

REWARD_TUNER_INLINE bool CheckpointFolder::usable(const std::filesystem::path& folder) {
  std::error_code code;
  if (!std::filesystem::is_regular_file(folder / kState, code) ||
      !std::filesystem::is_regular_file(folder / kTensors, code))
    return false;
  try {
    const auto json = read_sealed_json(folder / kState);
    return json.is_object() && json.contains("state") &&
           json.at("tensor_bytes") == std::filesystem::file_size(folder / kTensors);
  } catch (const std::exception&) {
    return false;  // a torn or foreign file is no checkpoint
  }
}

REWARD_TUNER_INLINE void CheckpointFolder::discard(const std::filesystem::path& checkpoint) const {
  const auto hidden = folder_ / (".removing-" + checkpoint.filename().string());
  std::error_code code;
  std::filesystem::remove_all(hidden, code);
  std::filesystem::rename(checkpoint, hidden, code);
  if (code) detail::file_failure(checkpoint, "remove", code.value());
  std::filesystem::remove_all(hidden, code);
  if (code) detail::file_failure(hidden, "remove", code.value());
}

REWARD_TUNER_INLINE void CheckpointFolder::remove_leftovers() const {
  std::error_code code;
  for (const std::string& name : names_in(folder_)) {
    if (!name.starts_with(".writing-") && !name.starts_with(".removing-")) continue;
    std::filesystem::remove_all(folder_ / name, code);
    if (code) detail::file_failure(folder_ / name, "remove", code.value());
  }
}

}  // namespace reward_tuner
