// Definitions of prompt_stream.hpp.
#pragma once
#include <reward_tuner/run/prompt_stream.hpp>

#include <algorithm>
#include <system_error>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/core/permutation.hpp>
#include <reward_tuner/core/text_digest.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE PromptStream::PromptStream(std::filesystem::path file, PromptStreamOptions options)
    : path_(std::move(file)), options_(std::move(options)) {
  std::error_code problem;
  REWARD_TUNER_CHECK(std::filesystem::is_regular_file(path_, problem),
                     "[PromptStream] expected a prompt file, got none at ", path_.string());
  const PromptFormat format = options_.format == PromptFormat::kByName ? prompt_format(path_) : options_.format;
  REWARD_TUNER_CHECK(format != PromptFormat::kJson,
                     "[PromptStream] expected a file that can be read prompt by prompt (.txt, .jsonl, .csv or .tsv), "
                     "got the JSON list ",
                     path_.string(), ", which PromptSet reads as a whole");
  bytes_ = std::filesystem::file_size(path_);
  TextDigest digest;
  for (PromptReader in = reader(); in.next(); ++size_) {
    if (size_ % kStride == 0) marks_.push_back({in.offset(), in.number()});
    digest.add(in.prompt());
  }
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

REWARD_TUNER_INLINE std::vector<std::string> PromptStream::read(
    const std::vector<std::pair<std::uint64_t, std::size_t>>& wanted) const {
  std::error_code problem;
  const auto bytes = std::filesystem::file_size(path_, problem);
  REWARD_TUNER_CHECK(!problem && bytes == bytes_, "[PromptStream] ", path_.string(),
                     " must not change while it is drawn from: expected ", bytes_, " bytes, got ",
                     problem ? "no file" : std::to_string(bytes));
  PromptReader in = reader();
  std::vector<std::string> out(wanted.size());
  std::uint64_t next = size_;  // the prompt that the file stands before; nowhere yet
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const auto [which, slot] = wanted[i];
    if (i > 0 && which == wanted[i - 1].first) {
      out[slot] = out[wanted[i - 1].second];
      continue;
    }
    if (i == 0 || which / kStride * kStride > next) {
      const Mark& mark = marks_[static_cast<std::size_t>(which / kStride)];
      in.go_to(mark.offset, mark.line);
      next = which / kStride * kStride;
    }
    for (; next <= which; ++next)
      REWARD_TUNER_CHECK(in.next(), "[PromptStream] ", path_.string(),
                         " must not change while it is drawn from: its prompt ", which + 1, " of ", size_, " is gone");
    out[slot] = in.prompt();
  }
  return out;
}

}  // namespace reward_tuner
