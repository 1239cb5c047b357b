// Package ntlm makes the messages by which a client signs in with NTLMv2 (MS-NLMP) over TLS,
// bound to the server's certificate (RFC 5929 section 4, tls-server-end-point): a relay
// between client and server has another certificate, and the server refuses what it passes
// on. Servers with Extended Protection accept nothing else.
//
// Refused are servers without Unicode, extended session security, target information or
// time, which all Windows versions since 2008 R2 send: for them the message would lack its
// integrity code. Nothing is signed or encrypted with the session key.
package ntlm

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"

	//lint:ignore SA1019 NTLM is defined by MD4 (MS-NLMP section 3.3.2)
	"golang.org/x/crypto/md4"
)

// Account is who signs in.
type Account struct{ Domain, User, Password string }

// Flags of MS-NLMP section 2.2.2.5.
const (
	flagUnicode       = 0x1
	flagRequestTarget = 0x4
	flagNTLM          = 0x200
	flagAlwaysSign    = 0x8000
	flagExtended      = 0x80000
	flagTargetInfo    = 0x800000
	flag128           = 0x20000000

	flags = flagUnicode | flagRequestTarget | flagNTLM | flagAlwaysSign | flagExtended | flagTargetInfo | flag128
)

// Identifiers of AV_PAIR, MS-NLMP section 2.2.2.1.
const (
	avEnd        = 0
	avFlags      = 6
	avTimestamp  = 7
	avTargetName = 9
	avBindings   = 10

	avFlagMIC = 2 // in avFlags: the message has an integrity code
)

const signature = "NTLMSSP\x00"

// Negotiate makes the first message.
func Negotiate() []byte {
	m := append([]byte(signature), 1, 0, 0, 0)
	m = binary.LittleEndian.AppendUint32(m, flags)
	return append(m, make([]byte, 16)...) // no domain, no workstation
}

// Challenge is the server's message.
type Challenge struct {
	raw    []byte
	nonce  []byte
	flags  uint32
	target []av
	time   []byte // of the server, 100 ns since 1601, little-endian
}

type av struct {
	id    uint16
	value []byte
}

// maxChallenge bounds the server's message in octets.
const maxChallenge = 8 << 10

// ParseChallenge reads the server's message (MS-NLMP section 2.2.1.2).
func ParseChallenge(raw []byte) (*Challenge, error) {
	if len(raw) < 48 || len(raw) > maxChallenge || string(raw[:8]) != signature || binary.LittleEndian.Uint32(raw[8:]) != 2 {
		return nil, errors.New("reading challenge of NTLM: not such a message")
	}
	c := &Challenge{raw: raw, flags: binary.LittleEndian.Uint32(raw[20:]), nonce: raw[24:32]}
	const needed = flagUnicode | flagExtended | flagTargetInfo
	if c.flags&needed != needed {
		return nil, fmt.Errorf("reading challenge of NTLM: server offers %#x, want %#x", c.flags, needed)
	}
	length, offset := int(binary.LittleEndian.Uint16(raw[40:])), uint64(binary.LittleEndian.Uint32(raw[44:]))
	if offset > uint64(len(raw)) || uint64(length) > uint64(len(raw))-offset {
		return nil, errors.New("reading challenge of NTLM: target information is cut")
	}
	var err error
	if c.target, err = parseAVs(raw[offset : int(offset)+length]); err != nil {
		return nil, err
	}
	for _, pair := range c.target {
		if pair.id == avTimestamp && len(pair.value) == 8 {
			c.time = pair.value
		}
	}
	if c.time == nil {
		return nil, errors.New("reading challenge of NTLM: server gives no time")
	}
	return c, nil
}

func parseAVs(b []byte) ([]av, error) {
	var pairs []av
	for len(b) >= 4 {
		id, length := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
		if b = b[4:]; id == avEnd {
			return pairs, nil
		}
		if length > len(b) {
			break
		}
		pairs, b = append(pairs, av{id, b[:length]}), b[length:]
	}
	return nil, errors.New("reading challenge of NTLM: target information does not end")
}

// Binding says to which server the message is bound.
type Binding struct {
	Service string // such as HTTP/ca.corp.example
	Channel []byte // the MD5 of the TLS connection's channel bindings (section 2.2.2.1)
}

// Authenticate makes the last message, with the integrity code over all three.
func (c *Challenge) Authenticate(a Account, bound Binding) ([]byte, error) {
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, fmt.Errorf("signing in by NTLM: %w", err)
	}
	key := a.key()
	response, session := proof(key, c.nonce, random[:], c.time, c.info(bound))
	const header = 88
	m := append([]byte(signature), 3, 0, 0, 0)
	var payload []byte
	// The LM response is empty, since the server gave its time (section 3.1.5.1.2).
	for _, field := range [][]byte{make([]byte, 24), response, units(a.Domain), units(a.User), nil, nil} {
		m = binary.LittleEndian.AppendUint16(m, uint16(len(field)))
		m = binary.LittleEndian.AppendUint16(m, uint16(len(field)))
		m = binary.LittleEndian.AppendUint32(m, uint32(header+len(payload)))
		payload = append(payload, field...)
	}
	m = binary.LittleEndian.AppendUint32(m, c.flags&flags)
	m = append(m, make([]byte, 8+16)...) // no version; room for the code
	m = append(m, payload...)
	copy(m[72:header], mac(session, Negotiate(), c.raw, m))
	return m, nil
}

// info is the target information of the server, with flags, service and channel.
func (c *Challenge) info(bound Binding) []byte {
	pairs := slices.DeleteFunc(slices.Clone(c.target), func(p av) bool {
		return p.id == avFlags || p.id == avTargetName || p.id == avBindings
	})
	pairs = append(pairs, av{avFlags, []byte{avFlagMIC, 0, 0, 0}}, av{avTargetName, units(bound.Service)}, av{avBindings, bound.Channel}, av{avEnd, nil})
	var b []byte
	for _, p := range pairs {
		b = binary.LittleEndian.AppendUint16(b, p.id)
		b = binary.LittleEndian.AppendUint16(b, uint16(len(p.value)))
		b = append(b, p.value...)
	}
	return b
}

// key is NTOWFv2 of MS-NLMP section 3.3.2.
func (a Account) key() []byte {
	hash := md4.New()
	hash.Write(units(a.Password))
	return mac(hash.Sum(nil), units(strings.ToUpper(a.User)+a.Domain))
}

// proof is ComputeResponse of MS-NLMP section 3.3.2: the response and the session key.
func proof(key, nonce, random, time, info []byte) (response, session []byte) {
	blob := append([]byte{1, 1, 0, 0, 0, 0, 0, 0}, time...)
	blob = append(blob, random...)
	blob = append(blob, 0, 0, 0, 0)
	blob = append(blob, info...)
	blob = append(blob, 0, 0, 0, 0)
	first := mac(key, nonce, blob)
	return append(slices.Clone(first), blob...), mac(key, first)
}

func mac(key []byte, parts ...[]byte) []byte {
	h := hmac.New(md5.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// units is UTF-16, little-endian.
func units(text string) []byte {
	var b []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	return b
}
