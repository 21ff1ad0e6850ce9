// Prompts of a file that may be larger than memory: every prompt once per epoch in random order, read when
// drawn.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/run/prompt_file.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace reward_tuner {

/// Options of PromptStream.
struct PromptStreamOptions {
  std::uint64_t seed = 0;                       ///< of the order
  PromptFormat format = PromptFormat::kByName;  ///< how the file is written (run/prompt_file.hpp)
  std::string field = "prompt";                 ///< as of PromptFileOptions
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
/// Errors: a file that is missing, not regular or without prompts; a JSON list, which is not read line by line; those
/// of PromptReader, by file and line. The file must not change: its size is checked at every draw.
/// Example: `PromptStream prompts("million.jsonl", {.seed = 1, .field = "caption"}); tuner.update(pipeline, optimizer,
/// prompts.draw(8), rng);`
class PromptStream {
 public:
  explicit PromptStream(std::filesystem::path file, PromptStreamOptions options = {});

  /// The next `count` prompts; an epoch that ends within them is followed by the next. Nothing moves on if it throws.
  /// Errors: count < 1; a file that is gone or has another size than when it was opened.
  std::vector<std::string> draw(int count);

  /// The same: the order is the stream's own, `rng` is left alone.
  std::vector<std::string> draw(int count, Rng&) { return draw(count); }

  /// Where the stream stands; `load_state` goes there. Errors: negative numbers, a position that the file does not
  /// have.
  PromptStreamState state() const { return state_; }
  void load_state(const PromptStreamState& state);

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

  PromptReader reader() const { return PromptReader(path_, {options_.format, options_.field}); }

  /// Reads prompts given in ascending order; {which, where to}.
  std::vector<std::string> read(const std::vector<std::pair<std::uint64_t, std::size_t>>& wanted) const;

  std::filesystem::path path_;
  PromptStreamOptions options_;
  std::uintmax_t bytes_ = 0;
  std::uint64_t size_ = 0;
  std::vector<Mark> marks_;
  std::string digest_;
  PromptStreamState state_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/run/prompt_stream.ipp>
#endif
