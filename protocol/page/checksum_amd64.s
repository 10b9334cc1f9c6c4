//go:build !purego

#include "textflag.h"

// sumPrime of checksum.go.
DATA prime<>+0(SB)/4, $16777619
GLOBL prime<>(SB), RODATA|NOPTR, $4

// All of the first eight words of a page but the stored checksum.
DATA unstored<>+0(SB)/8, $0xFFFFFFFFFFFFFFFF
DATA unstored<>+8(SB)/8, $0xFFFFFFFFFFFF0000
DATA unstored<>+16(SB)/8, $0xFFFFFFFFFFFFFFFF
DATA unstored<>+24(SB)/8, $0xFFFFFFFFFFFFFFFF
GLOBL unstored<>(SB), RODATA|NOPTR, $32

// sum = sum*prime ^ sum>>17; the prime is in Y4.
#define STIR(sum, shifted) \
	VPSRLD  $17, sum, shifted \
	VPMULLD Y4, sum, sum      \
	VPXOR   shifted, sum, sum

#define STIRALL \
	STIR(Y0, Y5) \
	STIR(Y1, Y6) \
	STIR(Y2, Y7) \
	STIR(Y3, Y8)

// func foldAVX2(page *[8192]byte) uint32
TEXT ·foldAVX2(SB), NOSPLIT, $0-12
	MOVQ         page+0(FP), SI
	VPBROADCASTD prime<>(SB), Y4

	// The first row goes into the offsets, without the stored checksum.
	VMOVDQU unstored<>(SB), Y0
	VPAND   (SI), Y0, Y0
	VPXOR   ·sumOffsets+0(SB), Y0, Y0
	VMOVDQU ·sumOffsets+32(SB), Y1
	VPXOR   32(SI), Y1, Y1
	VMOVDQU ·sumOffsets+64(SB), Y2
	VPXOR   64(SI), Y2, Y2
	VMOVDQU ·sumOffsets+96(SB), Y3
	VPXOR   96(SI), Y3, Y3
	STIRALL

	MOVQ $63, CX

row:
	ADDQ  $128, SI
	VPXOR (SI), Y0, Y0
	VPXOR 32(SI), Y1, Y1
	VPXOR 64(SI), Y2, Y2
	VPXOR 96(SI), Y3, Y3
	STIRALL
	DECQ  CX
	JNZ   row

	// Two rows of zeros.
	STIRALL
	STIRALL

	// Fold 32 sums to 8, 4, 2, 1.
	VPXOR        Y1, Y0, Y0
	VPXOR        Y3, Y2, Y2
	VPXOR        Y2, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPXOR        X1, X0, X0
	VPSHUFD      $0x4E, X0, X1
	VPXOR        X1, X0, X0
	VPSHUFD      $0xB1, X0, X1
	VPXOR        X1, X0, X0
	VMOVD        X0, AX
	VZEROUPPER
	MOVL         AX, ret+8(FP)
	RET
