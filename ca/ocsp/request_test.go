package ocsp_test

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"certportal/ca/ocsp"
)

// stored reads a request from testdata/requests.
func stored(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "requests", name+".der"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func constructed(n uint8) der.Tag { return der.Tag(n).ContextSpecific().Constructed() }

// draft describes a request, valid or not, that build encodes.
type draft struct {
	ids        [][]byte // Requests; nil for one valid Request
	version    []byte
	requestor  []byte
	extensions [][]byte
	signature  []byte
	behind     []byte
}

func (d draft) build(t testing.TB) []byte {
	t.Helper()
	if d.ids == nil {
		d.ids = [][]byte{asked(t, certID(t, "\x2b\x0e\x03\x02\x1a", 20, []byte{1}))}
	}
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(d.version)
			b.AddBytes(d.requestor)
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(bytes.Join(d.ids, nil)) })
			if d.extensions != nil {
				b.AddASN1(constructed(2), func(b *cryptobyte.Builder) {
					b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(bytes.Join(d.extensions, nil)) })
				})
			}
		})
		b.AddBytes(d.signature)
	})
	b.AddBytes(d.behind)
	return built(t, &b)
}

func built(t testing.TB, b *cryptobyte.Builder) []byte {
	t.Helper()
	raw, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// certID makes a CertID with hashes of n octets and the serial as content of an INTEGER.
func certID(t testing.TB, oid string, hash int, serial []byte) []byte {
	t.Helper()
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(der.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(oid)) })
		})
		b.AddASN1OctetString(make([]byte, hash))
		b.AddASN1OctetString(make([]byte, hash))
		b.AddASN1(der.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes(serial) })
	})
	return built(t, &b)
}

func asked(t testing.TB, id []byte, extensions ...[]byte) []byte {
	t.Helper()
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(id)
		if len(extensions) > 0 {
			b.AddASN1(constructed(0), func(b *cryptobyte.Builder) {
				b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(bytes.Join(extensions, nil)) })
			})
		}
	})
	return built(t, &b)
}

func extension(t testing.TB, oid string, critical bool, value []byte) []byte {
	t.Helper()
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(der.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(oid)) })
		if critical {
			b.AddASN1Boolean(true)
		}
		b.AddASN1OctetString(value)
	})
	return built(t, &b)
}

const nonceOID = "\x2b\x06\x01\x05\x05\x07\x30\x01\x02"

// nonced makes the extension with a nonce of n octets.
func nonced(t testing.TB, octets int) []byte {
	t.Helper()
	var b cryptobyte.Builder
	b.AddASN1OctetString(bytes.Repeat([]byte{7}, octets))
	return extension(t, nonceOID, false, built(t, &b))
}

func element(t testing.TB, tag der.Tag, content []byte) []byte {
	t.Helper()
	var b cryptobyte.Builder
	b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(content) })
	return built(t, &b)
}

func TestParseRequest(t *testing.T) {
	const serial = "4d48f89e72952db387c3a5b6582ceebe2e"
	for _, test := range []struct {
		name  string
		ids   []string
		hash  []crypto.Hash
		nonce int
	}{
		{"plain", []string{serial}, []crypto.Hash{crypto.SHA1}, 0},
		{"nonce", []string{serial}, []crypto.Hash{crypto.SHA1}, 16},
		{"sha256", []string{serial}, []crypto.Hash{crypto.SHA256}, 0},
		{"sha512", []string{serial}, []crypto.Hash{crypto.SHA512}, 0},
		{"several", []string{serial, serial, "1234"}, []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA256}, 16},
		{"signed", []string{serial}, []crypto.Hash{crypto.SHA1}, 16},
		{"other-issuer", []string{serial}, []crypto.Hash{crypto.SHA1}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := ocsp.ParseRequest(stored(t, test.name))
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Nonce) != test.nonce || len(got.IDs) != len(test.ids) {
				t.Fatalf("got %d ids and a nonce of %d octets, want %d and %d", len(got.IDs), len(got.Nonce), len(test.ids), test.nonce)
			}
			for i, id := range got.IDs {
				if id.Serial.String() != test.ids[i] || id.Hash != test.hash[i] || len(id.KeyHash) != id.Hash.Size() {
					t.Errorf("got %s by %v, want %s by %v", id.Serial, id.Hash, test.ids[i], test.hash[i])
				}
			}
		})
	}
}

// TestC5_HostileRequests checks which unusual requests are accepted.
func TestC5_HostileRequests(t *testing.T) {
	const sha1, md5 = "\x2b\x0e\x03\x02\x1a", "\x2a\x86\x48\x86\xf7\x0d\x02\x05"
	one := certID(t, sha1, 20, []byte{1})
	many := func(n int) [][]byte { return bytes.SplitAfterN(bytes.Repeat(asked(t, one), n), []byte("none"), 1) }
	deep := bytes.Repeat([]byte{0x30, 0x80}, 30_000)
	for _, test := range []struct {
		name string
		raw  []byte
		read bool
	}{
		{"right", draft{}.build(t), true},
		{"64 ids", draft{ids: many(64)}.build(t), true},
		{"65 ids", draft{ids: many(65)}.build(t), false},
		{"10,000 ids", draft{ids: many(10_000)}.build(t), false},
		{"no id", draft{ids: [][]byte{{}}}.build(t), false},
		{"nothing", nil, false},
		{"nonce of 0", draft{extensions: [][]byte{nonced(t, 0)}}.build(t), false},
		{"nonce of 1", draft{extensions: [][]byte{nonced(t, 1)}}.build(t), true},
		{"nonce of 16", draft{extensions: [][]byte{nonced(t, 16)}}.build(t), true},
		{"nonce of 32", draft{extensions: [][]byte{nonced(t, 32)}}.build(t), true},
		{"nonce of 128", draft{extensions: [][]byte{nonced(t, 128)}}.build(t), true},
		{"nonce of 129", draft{extensions: [][]byte{nonced(t, 129)}}.build(t), false},
		{"nonce twice", draft{extensions: [][]byte{nonced(t, 16), nonced(t, 16)}}.build(t), false},
		{"nonce that is bare", draft{extensions: [][]byte{extension(t, nonceOID, false, []byte("0123456789abcdef"))}}.build(t), false},
		{"nonce and more", draft{extensions: [][]byte{extension(t, nonceOID, false, []byte{4, 1, 7, 0})}}.build(t), false},
		{"critical nonce", draft{extensions: [][]byte{extension(t, nonceOID, true, []byte{4, 1, 7})}}.build(t), true},
		{"no extension in the list", draft{extensions: [][]byte{{}}}.build(t), true},
		{"unknown extension", draft{extensions: [][]byte{extension(t, "\x2a\x03", false, nil)}}.build(t), true},
		{"critical unknown extension", draft{extensions: [][]byte{extension(t, "\x2a\x03", true, nil)}}.build(t), false},
		{"critical acceptable answers", draft{extensions: [][]byte{extension(t, "\x2b\x06\x01\x05\x05\x07\x30\x01\x04", true, []byte{0x30, 0})}}.build(t), true},
		{"extension of one id", draft{ids: [][]byte{asked(t, one, extension(t, "\x2a\x03", false, nil))}}.build(t), true},
		{"critical extension of one id", draft{ids: [][]byte{asked(t, one, extension(t, "\x2a\x03", true, nil))}}.build(t), false},
		{"explicit version 1", draft{version: []byte{0xa0, 3, 2, 1, 0}}.build(t), true},
		{"version 2", draft{version: []byte{0xa0, 3, 2, 1, 1}}.build(t), false},
		{"name of who asks", draft{requestor: element(t, constructed(1), []byte{0x82, 1, 'a'})}.build(t), true},
		{"signature of nonsense", draft{signature: element(t, constructed(0), deep)}.build(t), true},
		{"two signatures", draft{signature: bytes.Repeat(element(t, constructed(0), nil), 2)}.build(t), false},
		{"octets behind", draft{behind: []byte{0}}.build(t), false},
		{"other hash", draft{ids: [][]byte{asked(t, certID(t, md5, 16, []byte{1}))}}.build(t), true},
		{"serial of 21 octets", draft{ids: [][]byte{asked(t, certID(t, sha1, 20, bytes.Repeat([]byte{1}, 21)))}}.build(t), true},
		{"serial below zero", draft{ids: [][]byte{asked(t, certID(t, sha1, 20, []byte{0x80}))}}.build(t), true},
		{"serial zero", draft{ids: [][]byte{asked(t, certID(t, sha1, 20, []byte{0}))}}.build(t), true},
		{"serial with a zero in front", draft{ids: [][]byte{asked(t, certID(t, sha1, 20, []byte{0, 1}))}}.build(t), false},
		{"serial of no octets", draft{ids: [][]byte{asked(t, certID(t, sha1, 20, nil))}}.build(t), false},
		{"deep without end", deep, false},
		{"deep", nested(16_000), false},
		{"64 KiB and one octet", make([]byte, ocsp.MaxRequest+1), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := ocsp.ParseRequest(test.raw)
			if (err == nil) != test.read || err != nil && !errors.Is(err, ocsp.ErrMalformed) {
				t.Errorf("got %v, want it read %v", err, test.read)
			}
		})
	}
}

// nested makes SEQUENCEs nested in each other.
func nested(depth int) []byte {
	var raw []byte // from the inside, backwards
	for range depth {
		switch n := len(raw); {
		case n < 0x80:
			raw = append(raw, byte(n), 0x30)
		case n < 0x100:
			raw = append(raw, byte(n), 0x81, 0x30)
		default:
			raw = append(raw, byte(n), byte(n>>8), 0x82, 0x30)
		}
	}
	slices.Reverse(raw)
	return raw
}

// TestC5_CutRequests truncates every stored request at each octet.
func TestC5_CutRequests(t *testing.T) {
	for _, name := range storedNames(t) {
		raw := stored(t, name)
		for n := range raw {
			if _, err := ocsp.ParseRequest(raw[:n]); !errors.Is(err, ocsp.ErrMalformed) {
				t.Errorf("%s cut at %d: got %v", name, n, err)
			}
		}
	}
}

func storedNames(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "requests", "*.der"))
	if err != nil || len(files) < 7 {
		t.Fatalf("%d stored requests, %v", len(files), err)
	}
	for i, file := range files {
		files[i] = strings.TrimSuffix(filepath.Base(file), ".der")
	}
	return files
}

func TestDecodeGET(t *testing.T) {
	raw := []byte("\x30\x0a\xff\xff\xff\xff\xfb\xef\xbe\xff\xff\x01") // has // and + in base64
	text := base64.StdEncoding.EncodeToString(raw)
	if !strings.Contains(text, "//") || !strings.Contains(text, "+") {
		t.Fatalf("%s has no double slash or plus", text)
	}
	long := append(bytes.Clone(raw), 0)
	padded := base64.StdEncoding.EncodeToString(long)
	escaped := strings.NewReplacer("/", "%2F", "+", "%2B", "=", "%3D").Replace(text)
	for _, test := range []struct {
		name, path string
		want       []byte
	}{
		{"plain", text, raw},
		{"percent", escaped, raw},
		{"percent in lower case", strings.ReplaceAll(escaped, "%2F", "%2f"), raw},
		{"percent twice", url.PathEscape(escaped), raw},
		{"slash in front", "/" + text, raw},
		{"blank for plus", strings.ReplaceAll(text, "+", "%20"), raw},
		{"padding", padded, long},
		{"padding in percent", strings.ReplaceAll(padded, "=", "%3D"), long},
		{"padding left out", strings.TrimRight(padded, "="), long},
		{"newline after padding", padded + "%0A", long},
		{"newline without padding", text + "%0d%0a", raw},
		{"newline within padding", padded[:len(padded)-1] + "%0a=%20", long},
		{"broken lines", text[:8] + "%0a" + text[8:], raw},
		{"alphabet for addresses", base64.RawURLEncoding.EncodeToString(raw), raw},
		{"alphabet for addresses, padded", base64.URLEncoding.EncodeToString(long), long},
		{"either alphabet", strings.Replace(text, "/", "_", 1), raw},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := ocsp.DecodeGET(test.path)
			if err != nil || !bytes.Equal(got, test.want) {
				t.Errorf("%s: got %x, %v", test.path, got, err)
			}
		})
	}
	for _, bad := range []string{"?", "%", "%zz", "a", "Mä==", text + "=x", padded + "%0aA", "%20" + text, strings.Repeat("A", 4*ocsp.MaxRequest+1)} {
		if got, err := ocsp.DecodeGET(bad); !errors.Is(err, ocsp.ErrMalformed) {
			t.Errorf("%.20q: got %x, %v", bad, got, err)
		}
	}
}

// FuzzRequest checks that no input makes the parser panic, and that an accepted request
// is accepted again after it is encoded anew.
func FuzzRequest(f *testing.F) {
	for _, name := range storedNames(f) {
		f.Add(stored(f, name))
	}
	f.Add(draft{extensions: [][]byte{nonced(f, 129)}}.build(f))
	f.Add(draft{version: []byte{0xa0, 3, 2, 1, 0}}.build(f))
	b := newBench(f, "ec-p256")
	f.Fuzz(func(t *testing.T, raw []byte) {
		req, err := ocsp.ParseRequest(raw)
		if err != nil {
			if !errors.Is(err, ocsp.ErrMalformed) {
				t.Errorf("got %v", err)
			}
			wantRefusal(t, "malformed", b.Respond(t.Context(), raw), malformed)
			return
		}
		if len(req.IDs) == 0 || len(req.IDs) > 64 || req.Nonce != nil && (len(req.Nonce) == 0 || len(req.Nonce) > 128) {
			t.Errorf("got %d ids and a nonce of %d octets", len(req.IDs), len(req.Nonce))
		}
		if got := b.Respond(t.Context(), raw); len(got.DER) < 5 || got.DER[0] != 0x30 {
			t.Errorf("got %x", got.DER)
		}
	})
}

// FuzzGET checks that a request decoded from an address is also decoded from its plain
// base64 form.
func FuzzGET(f *testing.F) {
	for _, name := range storedNames(f) {
		text := base64.StdEncoding.EncodeToString(stored(f, name))
		f.Add(text)
		f.Add(url.QueryEscape(text))
	}
	f.Add("//MA==")
	f.Fuzz(func(t *testing.T, path string) {
		raw, err := ocsp.DecodeGET(path)
		if err != nil {
			if !errors.Is(err, ocsp.ErrMalformed) {
				t.Errorf("got %v", err)
			}
			return
		}
		again, err := ocsp.DecodeGET(url.PathEscape(base64.StdEncoding.EncodeToString(raw)))
		if len(raw) > 0 && raw[0]>>2 != 0x3f && (err != nil || !bytes.Equal(raw, again)) {
			t.Errorf("%q: got %x, then %x, %v", path, raw, again, err)
		}
	})
}
