//go:build !purego

#include "textflag.h"

// See crc32cSteps and crc32cBlock in crc32c_amd64.go.
#define STEPS 73
#define PART  (STEPS*16)
#define BLOCK (STEPS*112)

// By 512 bits: x^(512+31), x^(512-33).
DATA by512<>+0(SB)/8, $0x740EEF02
DATA by512<>+8(SB)/8, $0x9E4ADDF8
GLOBL by512<>(SB), RODATA|NOPTR, $16

// By 128 bits: x^(128+31), x^(128-33).
DATA by128<>+0(SB)/8, $0xF20C0DFE
DATA by128<>+8(SB)/8, $0x493C7D27
GLOBL by128<>(SB), RODATA|NOPTR, $16

// Behind the lanes come three parts, behind the first part two, behind the second one:
// x^(3*8*PART-33), x^(2*8*PART-33); x^(8*PART-33), 0.
DATA byParts<>+0(SB)/8, $0xDCA2B4DA
DATA byParts<>+8(SB)/8, $0x3AE30875
DATA byParts<>+16(SB)/8, $0x651BD98B
DATA byParts<>+24(SB)/8, $0
GLOBL byParts<>(SB), RODATA|NOPTR, $32

// lane = lane shifted by the constants in X4, and what comes to lie there.
#define FOLD(lane, with) \
	VPCLMULQDQ $0x00, X4, lane, X5   \
	VPCLMULQDQ $0x11, X4, lane, lane \
	VPXOR      with, X5, X5          \
	VPXOR      X5, lane, lane

// Eight bytes of each part.
#define PARTS(offset) \
	CRC32Q (offset)(DI), AX        \
	CRC32Q (offset+PART)(DI), BX   \
	CRC32Q (offset+2*PART)(DI), DX

// func crc32cBlocks(sum uint32, p *byte, n int) uint32
TEXT ·crc32cBlocks(SB), NOSPLIT, $0-28
	MOVL    sum+0(FP), R8
	MOVQ    p+8(FP), SI
	MOVQ    n+16(FP), R9
	VMOVDQU byParts<>+0(SB), X8
	VMOVDQU byParts<>+16(SB), X9

block:
	VMOVDQU by512<>(SB), X4
	LEAQ    (STEPS*64)(SI), DI
	VMOVD   R8, X6
	VPXOR   (SI), X6, X0
	VMOVDQU 16(SI), X1
	VMOVDQU 32(SI), X2
	VMOVDQU 48(SI), X3
	XORL    AX, AX
	XORL    BX, BX
	XORL    DX, DX
	MOVQ    $(STEPS-1), CX

step:
	ADDQ  $64, SI
	FOLD(X0, (SI))
	PARTS(0)
	FOLD(X1, 16(SI))
	FOLD(X2, 32(SI))
	PARTS(8)
	FOLD(X3, 48(SI))
	ADDQ  $16, DI
	DECQ  CX
	JNZ   step
	PARTS(0)
	PARTS(8)

	// Four lanes become one, and that becomes a sum.
	VMOVDQU by128<>(SB), X4
	FOLD(X0, X1)
	FOLD(X0, X2)
	FOLD(X0, X3)
	VMOVQ   X0, R10
	VPEXTRQ $1, X0, R11
	XORL    R8, R8
	CRC32Q  R10, R8
	CRC32Q  R11, R8

	// Each sum is shifted by what follows, and the last part's needs no shift.
	VMOVQ      R8, X0
	VMOVQ      AX, X1
	VMOVQ      BX, X2
	VPCLMULQDQ $0x00, X8, X0, X0
	VPCLMULQDQ $0x10, X8, X1, X1
	VPCLMULQDQ $0x00, X9, X2, X2
	VPXOR      X1, X0, X0
	VPXOR      X2, X0, X0
	VMOVQ      X0, R10
	XORL       R8, R8
	CRC32Q     R10, R8
	XORL       DX, R8

	LEAQ (2*PART+16)(DI), SI
	DECQ R9
	JNZ  block
	MOVL R8, ret+24(FP)
	RET
