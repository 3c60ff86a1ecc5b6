// JPEG by libjpeg-turbo. The library reports errors by a callback that must not return; it leaves by longjmp,
// so whatever runs inside survives() holds nothing that has a destructor.
#include <cstdio>
// jpeglib.h needs stdio before it.
#include <jerror.h>
#include <jpeglib.h>

#include <algorithm>
#include <csetjmp>
#include <cstring>

#include "data/exif.h"
#include "data/image_codecs.h"
#include "kernels/check.h"

namespace stopgrad {
namespace {

struct Decoder {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf escape;
  char message[JMSG_LENGTH_MAX] = "";
  int max_scans = 0, max_warnings = 0;
  std::span<const uint8_t> bytes;
  uint8_t* pixels = nullptr;  // [output_height, output_width, 3]
  uint8_t* cmyk = nullptr;    // [output_width, 4], for files of four components

  ~Decoder() { jpeg_destroy_decompress(&info); }
};

Decoder& decoder_of(j_common_ptr info) { return *static_cast<Decoder*>(info->client_data); }

[[noreturn]] void leave(Decoder& decoder) { std::longjmp(decoder.escape, 1); }

[[noreturn]] void leave_saying(Decoder& decoder, const char* message) {
  std::snprintf(decoder.message, sizeof(decoder.message), "%s", message);
  leave(decoder);
}

void on_error(j_common_ptr info) {
  Decoder& decoder = decoder_of(info);
  info->err->format_message(info, decoder.message);
  leave(decoder);
}

void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;  // traces
  Decoder& decoder = decoder_of(info);
  // libjpeg would fill what is missing with grey; that is not the picture.
  if (info->err->msg_code == JWRN_JPEG_EOF) leave_saying(decoder, "truncated");
  if (++info->err->num_warnings > decoder.max_warnings) on_error(info);
}

void on_progress(j_common_ptr info) {
  Decoder& decoder = decoder_of(info);
  if (decoder.info.input_scan_number > decoder.max_scans) leave_saying(decoder, "too many progressive scans");
}

/// False when libjpeg gave up inside `step`; the decoder's message says why.
bool survives(Decoder& decoder, void (*step)(Decoder&)) {
  if (setjmp(decoder.escape) != 0) return false;
  step(decoder);
  return true;
}

void read_header(Decoder& decoder) {
  jpeg_create_decompress(&decoder.info);
  decoder.info.progress = &decoder.progress;
  jpeg_mem_src(&decoder.info, decoder.bytes.data(), decoder.bytes.size());
  jpeg_save_markers(&decoder.info, JPEG_APP0 + 1, 0xffff);  // each a copy: as much as the file at most
  jpeg_read_header(&decoder.info, TRUE);
}

/// Of the first Exif segment; others do not count.
int orientation_of(const jpeg_decompress_struct& info) {
  for (const jpeg_marker_struct* marker = info.marker_list; marker != nullptr; marker = marker->next)
    if (const int orientation = exif_orientation({marker->data, marker->data_length})) return orientation;
  return 1;
}

/// Four inks to RGB without a colour profile. Adobe's files hold 255 - ink.
void cmyk_to_rgb(const uint8_t* cmyk, int width, bool inverted, uint8_t* rgb) {
  for (int x = 0; x < width; ++x, cmyk += 4, rgb += 3)
    for (int c = 0; c < 3; ++c) {
      const int paper = inverted ? cmyk[c] : 255 - cmyk[c];
      const int light = inverted ? cmyk[3] : 255 - cmyk[3];
      rgb[c] = static_cast<uint8_t>((paper * light + 127) / 255);
    }
}

void read_pixels(Decoder& decoder) {
  auto& info = decoder.info;
  jpeg_start_decompress(&info);
  while (info.output_scanline < info.output_height) {
    uint8_t* row = decoder.pixels + size_t{info.output_scanline} * info.output_width * 3;
    JSAMPROW target = decoder.cmyk != nullptr ? decoder.cmyk : row;
    if (jpeg_read_scanlines(&info, &target, 1) != 1) leave_saying(decoder, "no more lines");
    if (decoder.cmyk != nullptr)
      cmyk_to_rgb(decoder.cmyk, static_cast<int>(info.output_width), info.saw_Adobe_marker, row);
  }
  jpeg_finish_decompress(&info);
}

/// Halvings that the decoder does for nothing, as long as the short side keeps `wanted` pixels.
unsigned scale_of(int64_t short_side, int wanted) {
  unsigned scale = 1;
  while (wanted > 0 && scale < 8 && short_side / (scale * 2) >= wanted) scale *= 2;
  return scale;
}

}  // namespace

Image decode_jpeg(std::span<const uint8_t> bytes, const std::string& name, const DecodeLimits& limits) {
  Decoder decoder;
  decoder.bytes = bytes;
  decoder.max_scans = limits.jpeg_scans;
  decoder.max_warnings = limits.jpeg_warnings;
  decoder.progress.progress_monitor = on_progress;
  auto& info = decoder.info;
  info.err = jpeg_std_error(&decoder.errors);
  info.client_data = &decoder;
  decoder.errors.error_exit = on_error;
  decoder.errors.emit_message = on_message;

  if (!survives(decoder, read_header)) fail(Exit::data, "{}: JPEG: {}", name, decoder.message);
  check_image_size(name, info.image_height, info.image_width, limits);
  const bool four = info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK;
  if (info.jpeg_color_space == JCS_UNKNOWN)
    fail(Exit::data, "{}: JPEG of {} components without a known meaning", name, info.num_components);
  info.out_color_space = four ? JCS_CMYK : JCS_RGB;
  info.scale_num = 1;
  info.scale_denom = scale_of(std::min(info.image_height, info.image_width), limits.wanted_side);
  if (!survives(decoder, [](Decoder& d) { jpeg_calc_output_dimensions(&d.info); }))
    fail(Exit::data, "{}: JPEG: {}", name, decoder.message);

  const int orientation = orientation_of(info);
  const size_t output = size_t{info.output_height} * info.output_width * 3;
  // A file of many scans is kept whole as coefficients of two bytes until the last one is read.
  const size_t kept = jpeg_has_multiple_scans(&info) ? size_t{info.image_height} * info.image_width * 2 : 0;
  const auto memory =
      reserve_memory(name, info.image_height, info.image_width,
                     static_cast<int64_t>(output * (orientation > 1 ? 2 : 1) + kept * info.num_components));
  Image image{static_cast<int>(info.output_height), static_cast<int>(info.output_width), 3, {}};
  image.pixels.resize(output);
  std::vector<uint8_t> cmyk(four ? size_t{info.output_width} * 4 : 0);
  decoder.pixels = image.pixels.data();
  decoder.cmyk = four ? cmyk.data() : nullptr;
  if (!survives(decoder, read_pixels)) fail(Exit::data, "{}: JPEG: {}", name, decoder.message);
  return turn_upright(std::move(image), orientation);
}

}  // namespace stopgrad
