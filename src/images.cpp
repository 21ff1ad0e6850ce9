// Definitions of report/ and run/ that read or write image files by stb.
#include <reward_tuner/report/image_file.ipp>
#include <reward_tuner/report/png.ipp>
#include <reward_tuner/report/tensorboard.ipp>
#include <reward_tuner/run/captioned_images.ipp>
#include <reward_tuner/run/image_scores.ipp>
#include <reward_tuner/run/run_record.ipp>
