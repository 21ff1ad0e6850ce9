// Definitions of prompt_stream.hpp.
#pragma once
#include <reward_tuner/run/prompt_stream.hpp>

#include <algorithm>
#include <system_error>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/core/permutation.hpp>
#include <reward_tuner/core/text_digest.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/run/prompt_set.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE PromptStream::PromptStream(std::filesystem::path file, PromptStreamOptions options)
    : path_(std::move(file)), options_(std::move(options)) {
  if (options_.format == PromptFormat::kByName)
    options_.format = path_.extension() == ".jsonl" ? PromptFormat::kJsonl : PromptFormat::kLines;
  std::error_code problem;
  REWARD_TUNER_CHECK(std::filesystem::is_regular_file(path_, problem),
                     "[PromptStream] expected a prompt file, got none at ", path_.string());
  bytes_ = std::filesystem::file_size(path_);
  std::ifstream in = open();
  TextDigest digest;
  Mark at;
  for (std::string line; std::getline(in, line); at.offset += line.size() + 1) {
    ++at.line;
    if (skips(line)) continue;
    if (size_ % kStride == 0) marks_.push_back(at);
    digest.add(prompt(line, at.line));
    ++size_;
  }
  REWARD_TUNER_CHECK(!in.bad(), "[PromptStream] could not read ", path_.string());
  REWARD_TUNER_CHECK(size_ > 0, "[PromptStream] expected at least one prompt, got none in ", path_.string());
  digest_ = digest.text();
}

REWARD_TUNER_INLINE std::vector<std::string> PromptStream::draw(int count) {
  REWARD_TUNER_CHECK(count >= 1, "[PromptStream] draw expected a count >= 1, got ", count);
  PromptStreamState next = state_;
  std::vector<std::pair<std::uint64_t, std::size_t>> wanted;  // which prompt, and where it goes
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    const Permutation order(size_, options_.seed, static_cast<std::uint64_t>(next.epoch));
    wanted.emplace_back(order(static_cast<std::uint64_t>(next.position)), i);
    if (static_cast<std::uint64_t>(++next.position) == size_) next = {next.epoch + 1, 0};
  }
  std::sort(wanted.begin(), wanted.end());
  std::vector<std::string> out = read(wanted);
  state_ = next;
  return out;
}

REWARD_TUNER_INLINE void PromptStream::load_state(const PromptStreamState& state) {
  REWARD_TUNER_CHECK(state.epoch >= 0, "[PromptStream] load_state expected an epoch >= 0, got ", state.epoch);
  REWARD_TUNER_CHECK(state.position >= 0 && static_cast<std::uint64_t>(state.position) < size_,
                     "[PromptStream] load_state expected a position in 0..", size_ - 1, " (", path_.string(), " has ",
                     size_, " prompts), got ", state.position);
  state_ = state;
}

REWARD_TUNER_INLINE bool PromptStream::skips(const std::string& line) const {
  return options_.format == PromptFormat::kLines ? detail::prompt_of_line(line).empty()
                                                 : line.find_first_not_of(" \t\r") == std::string::npos;
}

REWARD_TUNER_INLINE std::ifstream PromptStream::open() const {
  std::ifstream in(path_, std::ios::binary);
  REWARD_TUNER_CHECK(in.good(), "[PromptStream] cannot read the prompt file ", path_.string());
  return in;
}

REWARD_TUNER_INLINE std::string PromptStream::prompt(const std::string& line, std::uint64_t number) const {
  if (options_.format == PromptFormat::kLines) return std::string(detail::prompt_of_line(line));
  const std::string where = path_.string() + ":" + std::to_string(number);
  const nlohmann::json object = parse_json(line, where);
  REWARD_TUNER_CHECK(object.is_object(), "[PromptStream] ", where, ": expected an object, got ",
                     detail::json_excerpt(object));
  const auto found = object.find(options_.field);
  REWARD_TUNER_CHECK(found != object.end(), "[PromptStream] ", where, ": expected a text field '", options_.field,
                     "', got none in ", detail::json_excerpt(object));
  REWARD_TUNER_CHECK(found->is_string(), "[PromptStream] ", where, ": expected text in the field '", options_.field,
                     "', got ", detail::json_excerpt(*found));
  return found->get<std::string>();
}

REWARD_TUNER_INLINE std::vector<std::string> PromptStream::read(
    const std::vector<std::pair<std::uint64_t, std::size_t>>& wanted) const {
  std::error_code problem;
  const auto bytes = std::filesystem::file_size(path_, problem);
  REWARD_TUNER_CHECK(!problem && bytes == bytes_, "[PromptStream] ", path_.string(),
                     " must not change while it is drawn from: expected ", bytes_, " bytes, got ",
                     problem ? "no file" : std::to_string(bytes));
  std::ifstream in = open();
  std::vector<std::string> out(wanted.size());
  std::string line;
  // of the prompt that the file stands before, and of the line behind it; nowhere yet
  std::uint64_t next = size_, number = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const auto [which, slot] = wanted[i];
    if (i > 0 && which == wanted[i - 1].first) {
      out[slot] = out[wanted[i - 1].second];
      continue;
    }
    if (i == 0 || which / kStride * kStride > next) {
      const Mark& mark = marks_[static_cast<std::size_t>(which / kStride)];
      in.seekg(static_cast<std::streamoff>(mark.offset));
      next = which / kStride * kStride;
      number = mark.line - 1;
    }
    while (next <= which) {
      REWARD_TUNER_CHECK(std::getline(in, line), "[PromptStream] ", path_.string(),
                         " must not change while it is drawn from: its prompt ", which + 1, " of ", size_, " is gone");
      ++number;
      if (skips(line)) continue;
      ++next;
    }
    out[slot] = prompt(line, number);
  }
  return out;
}

}  // namespace reward_tuner
