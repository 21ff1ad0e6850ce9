// Definitions of models/: the pipeline and what it is told.
#include <reward_tuner/models/captured_unet.ipp>
#include <reward_tuner/models/condition.ipp>
#include <reward_tuner/models/image_size.ipp>
#include <reward_tuner/models/known_configurations.ipp>
#include <reward_tuner/models/known_layers.ipp>
#include <reward_tuner/models/merged_weights.ipp>
#include <reward_tuner/models/model_files.ipp>
#include <reward_tuner/models/model_writer.ipp>
#include <reward_tuner/models/original_layout.ipp>
#include <reward_tuner/models/pipeline_lora.ipp>
#include <reward_tuner/models/pipeline_networks.ipp>
#include <reward_tuner/models/pipeline_corrections.ipp>
#include <reward_tuner/models/pipeline_family.ipp>
#include <reward_tuner/models/prompt_encoder.ipp>
#include <reward_tuner/models/scheduler_config.ipp>
#include <reward_tuner/models/single_file.ipp>
#include <reward_tuner/models/stable_diffusion.ipp>
