// One of two units that include every io header: they must link into one program, also beside a host's own stb
// (io_second.cpp).
#include <ATen/ops/full.h>

#include <iostream>

#include <reward_tuner/files/json_file.hpp>
#include <reward_tuner/report/bitmap_font.hpp>
#include <reward_tuner/report/curve_plot.hpp>
#include <reward_tuner/report/image_grid.hpp>
#include <reward_tuner/report/metrics_log.hpp>
#include <reward_tuner/report/png.hpp>
#include <reward_tuner/report/progress_bar.hpp>
#include <reward_tuner/report/tensorboard.hpp>

std::string png_of_second_unit();
bool host_reads(const std::string& png, int size);

int main() {
  const std::string png = reward_tuner::encode_png(at::full({3, 8, 8}, 0.5));
  const bool agree = png == png_of_second_unit() && host_reads(png, 8);
  std::cout << (agree ? "both units agree\n" : "the units differ\n");
  return agree ? 0 : 1;
}
