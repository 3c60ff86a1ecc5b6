#pragma once
// How a camera was held: EXIF's tag Orientation, and the picture turned upright by it.
#include <cstdint>
#include <span>

#include "data/image_file.h"

namespace stopgrad {

/// Orientation, 1 (upright) to 8, of the payload of a JPEG's APP1 segment: "Exif\0\0" and a TIFF file
/// (TIFF 6.0, sections 2 and 8; Exif 2.3, 4.5). 0 where it is no Exif segment; 1 where it says nothing
/// usable.
int exif_orientation(std::span<const uint8_t> app1);

/// The picture as it was seen. Of an image stored with `orientation` 5 to 8, height and width change places.
Image turn_upright(Image image, int orientation);

}  // namespace stopgrad
