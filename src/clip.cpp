// Definitions of models/: CLIP.
#include <reward_tuner/models/clip.ipp>
#include <reward_tuner/models/clip_encoder.ipp>
#include <reward_tuner/models/clip_text.ipp>
#include <reward_tuner/models/clip_vision.ipp>
#include <reward_tuner/models/image_preprocessor.ipp>
#include <reward_tuner/models/open_clip_layout.ipp>
