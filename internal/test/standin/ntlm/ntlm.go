// Package ntlm is a stand-in for the sign-in of IIS by NTLM (MS-NLMP, MS-NTHT) with Extended
// Protection set to Required: it refuses messages that are not bound to its certificate. It
// was written apart from the client's package and shares no code with it.
package ntlm

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"strings"
	"sync"
	"unicode/utf16"

	//lint:ignore SA1019 NTLM is defined by MD4 (MS-NLMP section 3.3.2)
	"golang.org/x/crypto/md4"
)

// Server signs in one account.
type Server struct {
	Domain, User, Password string
	Host                   string // of the service that clients must name
	Certificate            *x509.Certificate

	mu          sync.Mutex
	connections map[string]*exchange // by address of the client
	last        error
}

type exchange struct{ first, challenge []byte }

// Refused gives why the last message was refused.
func (s *Server) Refused() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// SignsIn reports whether the request is of the account. If not, it has answered.
func (s *Server) SignsIn(w http.ResponseWriter, r *http.Request) bool {
	raw, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(r.Header.Get("Authorization"), "NTLM "))
	s.mu.Lock()
	defer s.mu.Unlock()
	switch known := s.connections[r.RemoteAddr]; {
	case len(raw) >= 12 && raw[8] == 1:
		if s.connections == nil {
			s.connections = map[string]*exchange{}
		}
		e := &exchange{raw, challenge()}
		s.connections[r.RemoteAddr] = e
		w.Header().Add("WWW-Authenticate", "Negotiate")
		w.Header().Add("WWW-Authenticate", "NTLM "+base64.StdEncoding.EncodeToString(e.challenge))
	case len(raw) >= 88 && raw[8] == 3 && known != nil:
		delete(s.connections, r.RemoteAddr)
		if s.last = s.verify(known, raw); s.last == nil {
			return true
		}
	default:
		w.Header().Add("WWW-Authenticate", "NTLM")
	}
	http.Error(w, "<h1>401 - Unauthorized", http.StatusUnauthorized)
	return false
}

// challenge makes the server's message, with the target information of a domain.
func challenge() []byte {
	var info []byte
	for id, value := range [][]byte{1: encode("CA01"), 2: encode("CORP"), 7: {0, 0, 0x39, 0x87, 0x2e, 0xe1, 0xdb, 1}} {
		if value != nil {
			info = binary.LittleEndian.AppendUint16(info, uint16(id))
			info = binary.LittleEndian.AppendUint16(info, uint16(len(value)))
			info = append(info, value...)
		}
	}
	info = append(info, 0, 0, 0, 0)
	target := encode("CORP")
	m := []byte("NTLMSSP\x00\x02\x00\x00\x00")
	m = append(m, byte(len(target)), 0, byte(len(target)), 0, 56, 0, 0, 0)
	m = binary.LittleEndian.AppendUint32(m, 0xe28a8215) // as Windows answers
	m = append(m, make([]byte, 16)...)
	rand.Read(m[24:32])
	m = append(m, byte(len(info)), 0, byte(len(info)), 0, byte(56+len(target)), 0, 0, 0)
	m = append(m, 10, 0, 0x61, 0x58, 0, 0, 0, 15)
	return append(append(m, target...), info...)
}

func (s *Server) verify(e *exchange, m []byte) error {
	field := func(at int) []byte {
		length, offset := int(binary.LittleEndian.Uint16(m[at:])), int(binary.LittleEndian.Uint32(m[at+4:]))
		if offset+length > len(m) {
			return nil
		}
		return m[offset : offset+length]
	}
	response := field(20)
	if len(response) < 48 || !bytes.Equal(field(28), encode(s.Domain)) || !bytes.Equal(field(36), encode(s.User)) {
		return errors.New("another account")
	}
	hash := md4.New()
	hash.Write(encode(s.Password))
	key := sum(hash.Sum(nil), encode(strings.ToUpper(s.User)), encode(s.Domain))
	if !hmac.Equal(sum(key, e.challenge[24:32], response[16:]), response[:16]) {
		return errors.New("wrong password")
	}
	code := bytes.Clone(m[72:88])
	clear(m[72:88])
	if !hmac.Equal(sum(sum(key, response[:16]), e.first, e.challenge, m), code) {
		return errors.New("messages were changed on the way")
	}
	pairs := map[uint16][]byte{}
	for b := response[44:]; len(b) >= 4; {
		id, length := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
		if id == 0 || len(b) < 4+length {
			break
		}
		pairs[id], b = b[4:4+length], b[4+length:]
	}
	switch {
	case !bytes.Equal(pairs[10], s.binding()):
		return errors.New("not bound to this server's certificate")
	case !bytes.Equal(pairs[9], encode("HTTP/"+s.Host)):
		return errors.New("meant for another service")
	case !bytes.Equal(pairs[6], []byte{2, 0, 0, 0}):
		return errors.New("no integrity code announced")
	}
	return nil
}

// binding is for certificates that were signed with SHA-256.
func (s *Server) binding() []byte {
	hash := sha256.Sum256(s.Certificate.Raw)
	text := "tls-server-end-point:" + string(hash[:])
	value := md5.Sum([]byte(strings.Repeat("\x00", 16) + string(rune(len(text))) + "\x00\x00\x00" + text))
	return value[:]
}

func sum(key []byte, parts ...[]byte) []byte {
	h := hmac.New(md5.New, key)
	h.Write(bytes.Join(parts, nil))
	return h.Sum(nil)
}

func encode(text string) []byte {
	var b []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		b = append(b, byte(unit), byte(unit>>8))
	}
	return b
}
