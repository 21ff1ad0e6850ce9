// One of two units that include every io header: they must link into one program, also beside a host's own stb
// (io_second.cpp).
#include <ATen/ops/full.h>

#include <iostream>

#include <reward_tuner/io/bitmap_font.hpp>
#include <reward_tuner/io/curve_plot.hpp>
#include <reward_tuner/io/image_grid.hpp>
#include <reward_tuner/io/json_file.hpp>
#include <reward_tuner/io/metrics_log.hpp>
#include <reward_tuner/io/png.hpp>
#include <reward_tuner/io/progress_bar.hpp>
#include <reward_tuner/io/tensorboard.hpp>

std::string png_of_second_unit();
bool host_reads(const std::string& png, int size);

int main() {
  const std::string png = reward_tuner::encode_png(at::full({3, 8, 8}, 0.5));
  const bool agree = png == png_of_second_unit() && host_reads(png, 8);
  std::cout << (agree ? "both units agree\n" : "the units differ\n");
  return agree ? 0 : 1;
}
