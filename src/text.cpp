// Definitions of text/.
#include <reward_tuner/text/byte_pair_encoding.ipp>
#include <reward_tuner/text/clip_merges.ipp>
#include <reward_tuner/text/clip_tokenizer.ipp>
#include <reward_tuner/text/clip_tokenizer_files.ipp>
#include <reward_tuner/text/clip_vocabulary.ipp>
#include <reward_tuner/text/special_tokens.ipp>
#include <reward_tuner/text/text_repair.ipp>
#include <reward_tuner/text/text_tables.ipp>
#include <reward_tuner/text/tokenizer_folder.ipp>
#include <reward_tuner/text/unicode.ipp>
#include <reward_tuner/text/word_piece.ipp>
