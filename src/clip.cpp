// Definitions of models/: CLIP and the tokenizers.
#include <reward_tuner/models/byte_pair_encoding.ipp>
#include <reward_tuner/models/clip.ipp>
#include <reward_tuner/models/clip_encoder.ipp>
#include <reward_tuner/models/clip_merges.ipp>
#include <reward_tuner/models/clip_text.ipp>
#include <reward_tuner/models/clip_tokenizer.ipp>
#include <reward_tuner/models/clip_tokenizer_files.ipp>
#include <reward_tuner/models/clip_vision.ipp>
#include <reward_tuner/models/clip_vocabulary.ipp>
#include <reward_tuner/models/image_preprocessor.ipp>
#include <reward_tuner/models/open_clip_layout.ipp>
#include <reward_tuner/models/special_tokens.ipp>
#include <reward_tuner/models/text_repair.ipp>
#include <reward_tuner/models/text_tables.ipp>
#include <reward_tuner/models/tokenizer_folder.ipp>
#include <reward_tuner/models/unicode.ipp>
#include <reward_tuner/models/word_piece.ipp>
