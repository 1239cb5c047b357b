package deliver

import (
	"bytes"
	"encoding"
	"hash"
)

// stateMagic is the length of the prefix, such as "sha\x01", of the marshaled state
// of SHA-1 and SHA-256.
const stateMagic = 4

// iterate is step 6A of RFC 7292 appendix B.2: h over the seed, then over its own
// result, for a number of rounds; at least one.
//
// Setting a name costs ten thousand rounds. Half the time of a plain round is
// padding and copying, so iterate keeps the padded block and reads the sum from the
// marshaled state of the hash. The format of that state is an implementation detail
// of the standard library: if the sum is not at its place after the first round,
// iterate uses plain rounds.
func iterate(h hash.Hash, seed []byte, iterations int) []byte {
	h.Write(seed)
	first := h.Sum(nil)
	tried, ok := iterateBlocks(h, first, 1)
	if !ok || !bytes.Equal(tried, iteratePlain(h, first, 1)) {
		return iteratePlain(h, first, iterations-1)
	}
	last, ok := iterateBlocks(h, first, iterations-1)
	if !ok {
		return iteratePlain(h, first, iterations-1)
	}
	return last
}

// iteratePlain hashes sum n times without changing sum itself.
func iteratePlain(h hash.Hash, sum []byte, n int) []byte {
	out := bytes.Clone(sum)
	for range n {
		h.Reset()
		h.Write(out)
		out = h.Sum(out[:0])
	}
	return out
}

// iterateBlocks does the same with whole blocks, and reports false for a hash whose
// state it cannot read.
func iterateBlocks(h hash.Hash, sum []byte, n int) ([]byte, bool) {
	state, ok := h.(encoding.BinaryAppender)
	if !ok || h.BlockSize() != hashBlock || len(sum) > hashBlock-9 {
		return nil, false
	}
	// FIPS 180-4 section 5.1.1: a one bit after the message, and its length in bits
	// at the end of the block, which for these sums fits two bytes.
	var block [hashBlock]byte
	size := copy(block[:], sum)
	block[size] = 0x80
	block[hashBlock-2], block[hashBlock-1] = byte(size*8>>8), byte(size*8)

	var binary []byte
	var err error
	for range n {
		h.Reset()
		h.Write(block[:])
		binary, err = state.AppendBinary(binary[:0])
		if err != nil || len(binary) < stateMagic+size {
			return nil, false
		}
		copy(block[:size], binary[stateMagic:])
	}
	return block[:size], true
}
