package scep

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// maxDepth is twice the depth of a request with a long subject. Every level costs a
// stack frame and a copy here and in every later parser.
const maxDepth = 32

var errBER = errors.New("not BER")

// toDER converts one BER value to definite, shortest lengths, and joins octet strings in
// pieces. It refuses deep nesting and trailing data. It does not sort sets: a signature
// over an unsorted set fails.
func toDER(input []byte) ([]byte, error) {
	out, rest, err := element(input, maxDepth)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%w: %d bytes after the value", errBER, len(rest))
	}
	return out, nil
}

// header is the header of a BER value. All tags of SCEP messages are below 31 and fit in
// one byte.
type header struct {
	tag        der.Tag
	indefinite bool
	content    []byte // with an indefinite length: everything that follows
	rest       []byte
}

func (h header) constructed() bool { return h.tag&0x20 != 0 }

func parseHeader(input []byte) (header, error) {
	if len(input) < 2 || input[0]&0x1f == 0x1f {
		return header{}, fmt.Errorf("%w: cut off, or a tag over 30", errBER)
	}
	h := header{tag: der.Tag(input[0])}
	first, rest := input[1], input[2:]
	if first == 0x80 {
		if !h.constructed() {
			return header{}, fmt.Errorf("%w: indefinite length of a primitive value", errBER)
		}
		h.indefinite, h.content = true, rest
		return h, nil
	}
	length := int(first)
	if first > 0x80 {
		octets := int(first & 0x7f)
		// Three octets can express 16 MiB, far more than MaxBody.
		if octets > 3 || octets > len(rest) {
			return header{}, fmt.Errorf("%w: length of %d octets", errBER, octets)
		}
		length = 0
		for _, b := range rest[:octets] {
			length = length<<8 | int(b)
		}
		rest = rest[octets:]
	}
	if length > len(rest) {
		return header{}, fmt.Errorf("%w: value is cut off", errBER)
	}
	h.content, h.rest = rest[:length], rest[length:]
	return h, nil
}

// element converts the value at the beginning of input and returns the rest.
func element(input []byte, depth int) (out, rest []byte, err error) {
	if depth == 0 {
		return nil, nil, fmt.Errorf("%w: nested too deep", errBER)
	}
	h, err := parseHeader(input)
	if err != nil {
		return nil, nil, err
	}
	content := h.content
	if h.constructed() {
		if content, rest, err = elements(h, depth); err != nil {
			return nil, nil, err
		}
	}
	if !h.indefinite {
		rest = h.rest
	}
	tag := h.tag
	if tag == der.OCTET_STRING|0x20 {
		if content, err = joined(content); err != nil {
			return nil, nil, err
		}
		tag = der.OCTET_STRING
	}
	var b cryptobyte.Builder
	b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(content) })
	out, err = b.Bytes()
	return out, rest, err
}

// elements converts the content of a constructed value.
func elements(h header, depth int) (out, rest []byte, err error) {
	rest = h.content
	for {
		if h.indefinite && len(rest) >= 2 && rest[0] == 0 && rest[1] == 0 {
			return out, rest[2:], nil
		}
		if len(rest) == 0 {
			if h.indefinite {
				return nil, nil, fmt.Errorf("%w: indefinite length without end", errBER)
			}
			return out, nil, nil
		}
		var one []byte
		if one, rest, err = element(rest, depth-1); err != nil {
			return nil, nil, err
		}
		out = append(out, one...)
	}
}

// joined joins the pieces of an octet string, which are DER already.
func joined(pieces []byte) ([]byte, error) {
	input := cryptobyte.String(pieces)
	var whole []byte
	for !input.Empty() {
		var piece cryptobyte.String
		if !input.ReadASN1(&piece, der.OCTET_STRING) {
			return nil, fmt.Errorf("%w: octet string of other pieces", errBER)
		}
		whole = append(whole, piece...)
	}
	return whole, nil
}
