package scep

import (
	"bytes"
	"crypto/aes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
)

func TestToDER(t *testing.T) {
	for _, tt := range []struct {
		name, in, want string // want empty: refused
	}{
		{"as it is", "3003020105", "3003020105"},
		{"indefinite length", "30800201050000", "3003020105"},
		{"long length", "308200030201" + "05", "3003020105"},
		{"octets in pieces", "2480040101040202030000", "0403010203"},
		{"pieces in pieces", "248024800401010000040102" + "0000", "04020102"},
		{"context tag keeps its pieces", "a08004010104010200" + "00", "a006040101040102"},
		{"empty", "", ""},
		{"tag alone", "30", ""},
		{"tag over 30", "3f8101030201050000", ""},
		{"cut off", "3004020105", ""},
		{"behind the value", "300302010500", ""},
		{"without end", "3080020105", ""},
		{"primitive and indefinite", "0480000000", ""},
		{"length of four octets", "308400000003020105", ""},
		{"pieces of another kind", "24800201050000", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in, err := hex.DecodeString(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			got, err := toDER(in)
			if hex.EncodeToString(got) != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("got %x, %v, want %s", got, err, tt.want)
			}
		})
	}
}

// The library's own converter copies at each level and has no limit.
func TestA17_DeepNesting(t *testing.T) {
	nest := func(depth int) []byte {
		return slices.Concat(bytes.Repeat([]byte{0x30, 0x80}, depth), []byte{0x05, 0x00}, make([]byte, 2*depth))
	}
	if _, err := toDER(nest(maxDepth - 1)); err != nil {
		t.Errorf("%d levels: %v", maxDepth-1, err)
	}
	for _, depth := range []int{maxDepth, MaxBody / 4} {
		if _, err := toDER(nest(depth)); !errors.Is(err, errBER) {
			t.Errorf("%d levels: %v, want %v", depth, err, errBER)
		}
	}
}

func TestUnpad(t *testing.T) {
	for _, tt := range []struct {
		name string
		last []byte // the end of the last block
		want int    // bytes of content; -1: refused
	}{
		{"one", []byte{9, 1}, 15},
		{"two", []byte{2, 2}, 14},
		{"whole block", bytes.Repeat([]byte{16}, 16), 0},
		{"none", []byte{9, 0}, -1},
		{"seventeen", bytes.Repeat([]byte{17}, 16), -1},
		{"255", bytes.Repeat([]byte{255}, 16), -1},
		{"not all alike", []byte{3, 2, 3}, -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			block := make([]byte, aes.BlockSize)
			copy(block[aes.BlockSize-len(tt.last):], tt.last)
			got, err := unpad(block)
			if tt.want < 0 {
				if err == nil {
					t.Errorf("got %x", got)
				}
				return
			}
			if err != nil || len(got) != tt.want {
				t.Errorf("got %d bytes, %v, want %d", len(got), err, tt.want)
			}
		})
	}
	for n := range 3 * aes.BlockSize {
		content := bytes.Repeat([]byte{7}, n)
		if got, err := unpad(padded(content)); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes: got %d, %v", n, len(got), err)
		}
	}
}

// FuzzToDER checks that the standard library can parse the output, and that converting it
// again changes nothing.
func FuzzToDER(f *testing.F) {
	for _, seed := range []string{"3003020105", "30800201050000", "2480040101040202030000", "a0800401010401020000"} {
		in, err := hex.DecodeString(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := toDER(in)
		if err != nil {
			return
		}
		again, err := toDER(out)
		if err != nil || !bytes.Equal(again, out) {
			t.Errorf("%x becomes %x, then %x, %v", in, out, again, err)
		}
		var value asn1.RawValue
		if rest, err := asn1.Unmarshal(out, &value); err != nil || len(rest) > 0 {
			t.Errorf("%x becomes %x: %v", in, out, err)
		}
	})
}

func FuzzEnvelope(f *testing.F) {
	f.Add([]byte{0x30, 0x80, 0x06, 0x01, 0x00, 0x00, 0x00})
	_, content := fuzzMessage(f)
	f.Add(content)
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := parseEnvelope(in)
		if err != nil {
			return
		}
		if e.keySize == 0 || len(e.iv) != aes.BlockSize || len(e.encrypted)%aes.BlockSize != 0 {
			t.Errorf("took a cipher with key %d, vector %d and %d bytes", e.keySize, len(e.iv), len(e.encrypted))
		}
	})
}

// FuzzMessage checks that a message with a valid signature is complete and can be answered.
func FuzzMessage(f *testing.F) {
	raw, _ := fuzzMessage(f)
	f.Add(raw)
	f.Add(raw[:len(raw)/2])
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := parseMessage(in)
		if errors.Is(err, errMalformed) {
			return
		}
		if m.signer == nil || len(m.nonce) == 0 || len(m.transaction.FullBytes) == 0 {
			t.Errorf("%v with signer %v, nonce %x and transaction %x", err, m.signer, m.nonce, m.transaction.FullBytes)
		}
		if name := m.name(); len(name) > len("RenewalReq") {
			t.Errorf("name %q", name)
		}
	})
}

// fuzzMessage returns a message as phones send it, and its envelope.
func fuzzMessage(f *testing.F) (raw, envelope []byte) {
	f.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		f.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		f.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		f.Fatal(err)
	}
	envelope, err = encryptFor(cert, pkcs7.OIDEncryptionAlgorithmAES128CBC, []byte("request"))
	if err != nil {
		f.Fatal(err)
	}
	transaction, err := asn1.Marshal("transaction")
	if err != nil {
		f.Fatal(err)
	}
	a := &registrationAuthority{cert: cert, key: key}
	raw, err = a.reply(message{transaction: asn1.RawValue{FullBytes: transaction}, nonce: []byte("nonce")}, envelope)
	if err != nil {
		f.Fatal(err)
	}
	return raw, envelope
}

// An encrypted content can be decrypted by its recipient only.
func TestEnvelopeRoundTrip(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "one"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []asn1.ObjectIdentifier{
		pkcs7.OIDEncryptionAlgorithmAES128CBC, {2, 16, 840, 1, 101, 3, 4, 1, 22}, pkcs7.OIDEncryptionAlgorithmAES256CBC,
	} {
		raw, err := encryptFor(cert, id, []byte("content"))
		if err != nil {
			t.Fatal(err)
		}
		e, err := parseEnvelope(raw)
		if err != nil {
			t.Fatal(err)
		}
		other := *cert
		other.SerialNumber = big.NewInt(2)
		if _, ok := e.recipient(&other); ok {
			t.Error("a certificate with another serial is taken for the recipient")
		}
		r, ok := e.recipient(cert)
		if !ok {
			t.Fatal("recipient is not found")
		}
		if got, err := e.open(r, key); err != nil || string(got) != "content" {
			t.Errorf("%s: got %q, %v", id, got, err)
		}
	}
}
