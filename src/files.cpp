// Definitions of files/: JSON, safetensors, weights, checkpoints.
#include <reward_tuner/files/atomic_file.ipp>
#include <reward_tuner/files/checkpoint.ipp>
#include <reward_tuner/files/json_config.ipp>
#include <reward_tuner/files/json_file.ipp>
#include <reward_tuner/files/json_line.ipp>
#include <reward_tuner/files/output_path.ipp>
#include <reward_tuner/files/part_copy.ipp>
#include <reward_tuner/files/safetensors.ipp>
#include <reward_tuner/files/sealed_json.ipp>
#include <reward_tuner/files/safetensors_header.ipp>
#include <reward_tuner/files/table_file.ipp>
#include <reward_tuner/files/text_file.ipp>
#include <reward_tuner/files/weights.ipp>
#include <reward_tuner/files/weights_folder.ipp>
#include <reward_tuner/files/weights_index.ipp>
#include <reward_tuner/files/weights_source.ipp>
