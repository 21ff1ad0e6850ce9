// Definitions of models/ and rewards/: the networks of learned rewards that are no CLIP, and what is asked of them.
#include <reward_tuner/models/bert_encoder.ipp>
#include <reward_tuner/models/blip.ipp>
#include <reward_tuner/models/owl_vit.ipp>
#include <reward_tuner/models/vision_transformer.ipp>
#include <reward_tuner/rewards/named_objects.ipp>
#include <reward_tuner/rewards/remote_file.ipp>
