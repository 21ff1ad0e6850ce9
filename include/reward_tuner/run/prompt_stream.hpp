// Prompts of a file that may be larger than memory: every prompt once an epoch in a random order, read when they are
// drawn.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/permutation.hpp>
#include <reward_tuner/core/text_digest.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/run/prompt_set.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace reward_tuner {

/// How a prompt file is written.
enum class PromptFormat {
  kByName,  ///< jsonl if the file's name ends in .jsonl, else lines
  kLines,   ///< as PromptSet::from_file: one prompt a line; blank lines and lines that begin with # are skipped
  kJsonl    ///< one JSON object a line with the prompt in a text field; blank lines are skipped
};

/// Options of PromptStream.
struct PromptStreamOptions {
  std::uint64_t seed = 0;                       ///< of the order
  PromptFormat format = PromptFormat::kByName;  ///< how the file is written
  std::string field = "prompt";                 ///< jsonl: the key of the text
};

/// Where a stream stands: so many whole epochs were drawn, and so many prompts of the one that runs.
struct PromptStreamState {
  std::int64_t epoch = 0;
  std::int64_t position = 0;  ///< in 0..size-1
  friend bool operator==(const PromptStreamState&, const PromptStreamState&) = default;
};

/// The prompts of a file, each exactly once an epoch, in an order drawn anew for each epoch: Permutation(size, seed,
/// epoch). With seed and file given, `state()` is all there is to resume at the very prompt. Stands where a PromptSet
/// stands; equal files have equal digests.
/// Memory: 16 bytes for 1024 prompts (the place of every 1024th line) and the longest line. Opening reads and checks
/// the whole file once; a draw skips up to 1023 prompts for each that it reads.
/// Errors: a file that is missing, not regular or without prompts; jsonl: a line that is not JSON, not an object, or
/// whose field is missing or not text, by file and line. The file must not change: its size is checked at every draw.
/// Example: `PromptStream prompts("million.jsonl", {.seed = 1, .field = "caption"}); tuner.update(pipeline, optimizer,
/// prompts.draw(8), rng);`
class PromptStream {
 public:
  explicit PromptStream(std::filesystem::path file, PromptStreamOptions options = {})
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

  /// The next `count` prompts; an epoch that ends within them is followed by the next. Nothing moves on if it throws.
  /// Errors: count < 1; a file that is gone or has another size than when it was opened.
  std::vector<std::string> draw(int count) {
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

  /// The same: the order is the stream's own, `rng` is left alone.
  std::vector<std::string> draw(int count, Rng&) { return draw(count); }

  /// Where the stream stands; `load_state` goes there. Errors: negative numbers, a position that the file does not
  /// have.
  PromptStreamState state() const { return state_; }
  void load_state(const PromptStreamState& state) {
    REWARD_TUNER_CHECK(state.epoch >= 0, "[PromptStream] load_state expected an epoch >= 0, got ", state.epoch);
    REWARD_TUNER_CHECK(state.position >= 0 && static_cast<std::uint64_t>(state.position) < size_,
                       "[PromptStream] load_state expected a position in 0..", size_ - 1, " (", path_.string(), " has ",
                       size_, " prompts), got ", state.position);
    state_ = state;
  }

  std::size_t size() const { return static_cast<std::size_t>(size_); }
  /// TextDigest of the prompts in the file's order.
  const std::string& digest() const { return digest_; }
  const std::filesystem::path& path() const { return path_; }
  const PromptStreamOptions& options() const { return options_; }
  /// Bytes of the index that is kept in memory.
  std::size_t index_bytes() const { return marks_.size() * sizeof(Mark); }

 private:
  static constexpr std::uint64_t kStride = 1024;  // prompts between two marks

  struct Mark {
    std::uint64_t offset = 0;  // of the line, in bytes
    std::uint64_t line = 0;    // its number from 1 on
  };

  bool skips(const std::string& line) const {
    return options_.format == PromptFormat::kLines ? detail::prompt_of_line(line).empty()
                                                   : line.find_first_not_of(" \t\r") == std::string::npos;
  }

  std::ifstream open() const {
    std::ifstream in(path_, std::ios::binary);
    REWARD_TUNER_CHECK(in.good(), "[PromptStream] cannot read the prompt file ", path_.string());
    return in;
  }

  /// The prompt of a line that is not skipped.
  std::string prompt(const std::string& line, std::uint64_t number) const {
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

  /// Reads prompts given in ascending order; {which, where to}.
  std::vector<std::string> read(const std::vector<std::pair<std::uint64_t, std::size_t>>& wanted) const {
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
                           " must not change while it is drawn from: its prompt ", which + 1, " of ", size_,
                           " is gone");
        ++number;
        if (skips(line)) continue;
        ++next;
      }
      out[slot] = prompt(line, number);
    }
    return out;
  }

  std::filesystem::path path_;
  PromptStreamOptions options_;
  std::uintmax_t bytes_ = 0;
  std::uint64_t size_ = 0;
  std::vector<Mark> marks_;
  std::string digest_;
  PromptStreamState state_;
};

}  // namespace reward_tuner
