// The vocabulary of OpenAI's CLIP, carried by the library, so that a model without tokenizer files has its tokenizer.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include <reward_tuner/text/clip_tokenizer_files.hpp>

namespace reward_tuner {

/// Tokens of OpenAI's CLIP, the two special ones included.
inline constexpr std::int64_t kClipVocabularySize = 49408;

/// The tokenizer of Stable Diffusion 1, 2 and XL: CLIP's 49,408 tokens and 48,894 merges, sequences of 77. `pad` fills
/// short ones: the end token in SD 1 and SDXL's first tokenizer, "!" (id 0) in SD 2 and SDXL's second. Equal to
/// transformers' CLIPTokenizer on the published tokenizer folders.
/// Source: clip/bpe_simple_vocab_16e6.txt.gz of OpenAI's CLIP, MIT license, see clip_merges.ipp.
ClipTokenizerFiles clip_vocabulary(const std::string& pad = "<|endoftext|>");

/// Writes vocab.json, merges.txt, tokenizer_config.json and special_tokens_map.json as published, so that
/// transformers' CLIPTokenizer and ClipTokenizerFiles::read read `files` again. The folder is made if needed.
/// Errors: a folder that cannot be written; tokens added beyond the four with a role.
void write_tokenizer(const std::filesystem::path& folder, const ClipTokenizerFiles& files);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/text/clip_vocabulary.ipp>
#endif
