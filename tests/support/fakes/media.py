"""The beginnings of files, by which their types are detected."""

PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)
JPEG = b"\xff\xd8\xff\xe0" + bytes(16)
WEBP = b"RIFF\x10\0\0\0WEBPVP8 " + bytes(8)
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
AVIF = b"\0\0\0\x1cftypavif\0\0\0\0avifmif1"
PDF = b"%PDF-1.7\n%\xe2\xe3"
ZIP = b"PK\x03\x04" + bytes(16)
