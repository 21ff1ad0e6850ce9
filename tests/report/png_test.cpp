// PNG round trips, clamping and rounding, and the named errors.
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <doctest/doctest.h>
#include <torch/types.h>

#include <cmath>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/report/image_file.hpp>
#include <reward_tuner/report/png.hpp>

#include <tests/reference/test_folder.hpp>

using namespace reward_tuner;

TEST_CASE("png: every one of the 256 levels survives a round trip, in color and in its place") {
  const io_test::Folder folder;
  // [3,H,W], H != W
  const Tensor levels = at::arange(3 * 16 * 17).remainder(256).to(at::kFloat).div(255).reshape({3, 16, 17});
  write_png(folder / "color.png", levels);
  const Tensor back = read_image(folder / "color.png");
  CHECK((back.scalar_type() == at::kFloat));
  CHECK(at::equal(back, levels));
  CHECK(folder.entries() == 1);  // no temporary file stays behind
}

TEST_CASE("png: grey images come back as three equal channels; strides and dtypes do not matter") {
  const Tensor grey = at::arange(12).to(at::kDouble).div(12).reshape({4, 3}).t();  // [3,4], not contiguous
  const Tensor back = decode_image(encode_png(grey));
  CHECK((back.sizes() == at::IntArrayRef({3, 3, 4})));
  CHECK(at::equal(back[0], back[2]));
  CHECK(at::equal(back[1], grey.to(at::kFloat).mul(255).round().div(255)));
  CHECK(at::equal(decode_image(encode_png(grey.unsqueeze(0))), back));
  CHECK(at::equal(decode_image(encode_png(grey.to(at::kBFloat16))),
                  decode_image(encode_png(grey.to(at::kBFloat16).to(at::kFloat)))));
}

TEST_CASE("png: values are clamped and rounded, not wrapped or cut; not-a-number is black") {
  const Tensor row =
      at::tensor({-0.5, 1.5, 0.5 / 255 + 1e-4, 0.5 / 255 - 1e-4, std::nan(""), 254.6 / 255}).reshape({1, 6});
  const Tensor expected = at::tensor({0.0, 255.0, 1.0, 0.0, 0.0, 255.0});
  CHECK(at::equal(decode_image(encode_png(row))[0][0].mul(255).round().to(at::kDouble), expected.to(at::kDouble)));
}

TEST_CASE("png: images that carry gradient are written without touching the graph") {
  const Tensor image = at::full({3, 2, 2}, 0.5).requires_grad_();
  CHECK_NOTHROW(encode_png(image * 1.0));
}

TEST_CASE("png: wrong images are named errors") {
  CHECK_THROWS_AS(encode_png(Tensor()), Error);
  CHECK_THROWS_AS(encode_png(at::zeros({4, 5, 6})), Error);
  CHECK_THROWS_AS(encode_png(at::zeros({3, 0, 6})), Error);
  CHECK_THROWS_WITH_AS(encode_png(at::zeros({3, 5, 6}, at::kByte)), doctest::Contains("expected floating-point values"),
                       Error);
}

TEST_CASE("png: missing and read-only folders are named errors and leave nothing behind") {
  const io_test::Folder folder;
  const Tensor image = at::zeros({3, 2, 2});
  CHECK_THROWS_AS(write_png(folder / "missing" / "a.png", image), Error);
  io_test::write_text(folder / "file", "x");
  CHECK_THROWS_AS(write_png(folder / "file" / "a.png", image), Error);
  if (folder.make_read_only()) CHECK_THROWS_AS(write_png(folder / "a.png", image), Error);
  CHECK(folder.entries() == 1);
}
