package wire

import "unsafe"

// pageBytes is the page size of the system's memory as far as alignment goes, in bytes.
const pageBytes = 4 << 10

// pageAligned makes a buffer of size bytes whose address is a multiple of pageBytes, with
// room for the header of a frame in front of it: whole[start:] is the buffer.
//
// File data is copied four times on its way: from the page cache into the sender's buffer,
// into the socket, out of it, and into the page cache of the receiver. The kernel copies with
// rep movsb, whose speed depends on how source and destination lie in their pages. On AMD's
// Zen 3 a destination that lies 1 to 16 bytes behind the source (modulo 4096) makes the copy
// 10 to 20 times slower. In GB/s, 32 KiB a call, buffers in the L2 cache, by the place of the
// buffer in its page (BenchmarkAlignment measures it):
//
//	offset   pread   pwrite   send   receive
//	     0    19.4     10.1    8.4       9.7
//	     1     0.5     22.9    7.9       2.4
//	     5     1.0      7.1    6.1       2.8
//	    16     1.2     16.1    7.3       5.4
//	    32    10.3     30.0    6.4       6.5
//	    64     6.4     19.2    5.9       8.9
//	  4091     9.6      1.2    4.7       9.3
//
// The page cache is aligned. So a buffer that begins with the five bytes of a header is the
// worst place to read a file into, and a body that follows five bytes of something else the
// worst to write it from. On a Zen 1, busy with much else, the benchmark was too noisy to show
// an effect, or that there is none. An aligned buffer is never slow; how the system's socket
// buffers lie, nobody can choose. Go aligns large buffers by itself today, and does not
// promise it.
func pageAligned(size int) (whole []byte, start int) {
	whole = make([]byte, pageBytes+pageBytes-1+size)
	past := int(uintptr(unsafe.Pointer(unsafe.SliceData(whole))) % pageBytes)
	start = pageBytes - past
	if start < frameHeader {
		start += pageBytes
	}
	return whole[: start+size : start+size], start
}
