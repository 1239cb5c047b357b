package deliver

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The vectors for PKCS#12 v1.0 by S. Henson, which GnuTLS and OpenSSL also use. Those
// of 24 bytes are truncated to the one block that is derived here.
func TestKDFVectors(t *testing.T) {
	tests := []struct {
		name, password, salt string
		id                   byte
		iterations           int
		want                 string
	}{
		{"smeg-key", "smeg", "0a58cf64530d823f", 1, 1, "8aaae6297b6cb04642ab5b077851284eb7128f1a"},
		{"smeg-mac", "smeg", "3d83c0e4546ac140", 3, 1, "8d967d88f6caa9d714800ab3d48051d63f73a312"},
		{"queeg-key", "queeg", "05dec959acff72f7", 1, 1000, "ed2034e36328830ff09df1e1a07dd357185dac0d"},
		{"queeg-mac", "queeg", "263216fcc2fab31c", 3, 1000, "5ec4c7a80df652294c3925b6489a7ab857c83476"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			salt, err := hex.DecodeString(tt.salt)
			if err != nil {
				t.Fatal(err)
			}
			got := iterate(sha1.New(), kdfSeed(tt.id, salt, tt.password), tt.iterations)
			if hex.EncodeToString(got) != tt.want {
				t.Errorf("got %x, want %s", got, tt.want)
			}
		})
	}
}

// OpenSSL derives the same keys, for SHA-256 too, and for passwords and salts beyond one block.
func TestKDFAgreesWithOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("openssl is not installed")
		}
		t.Skip("openssl is not installed")
	}
	tests := []struct {
		name, digest string
		hash         func() hash.Hash
		password     string
		salt         []byte
		iterations   int
	}{
		{"sha1", "SHA1", sha1.New, "abcd2345wxyz", []byte("8 bytes!"), Iterations},
		{"sha256", "SHA256", sha256.New, "abcd2345wxyz", []byte("sixteen bytes ok"), Iterations},
		{"one-iteration", "SHA256", sha256.New, "abcd2345wxyz", []byte("sixteen bytes ok"), 1},
		{"long-password", "SHA256", sha256.New, strings.Repeat("long", 20), []byte("sixteen bytes ok"), 3},
		{"exact-block", "SHA1", sha1.New, strings.Repeat("x", 31), bytes.Repeat([]byte{7}, 64), 2},
		{"long-salt", "SHA1", sha1.New, "abcd2345wxyz", bytes.Repeat([]byte{7, 8, 9}, 30), 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := exec.Command("openssl", "kdf", "-keylen", fmt.Sprint(tt.hash().Size()),
				"-kdfopt", "digest:"+tt.digest, "-kdfopt", "id:3", "-kdfopt", fmt.Sprint("iter:", tt.iterations),
				"-kdfopt", fmt.Sprintf("hexpass:%x0000", bmpBytes(tt.password)),
				"-kdfopt", fmt.Sprintf("hexsalt:%x", tt.salt), "PKCS12KDF").CombinedOutput()
			if err != nil {
				t.Fatalf("openssl: %v\n%s", err, out)
			}
			want := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(string(out)), ":", ""))
			got := iterate(tt.hash(), kdfSeed(macID, tt.salt, tt.password), tt.iterations)
			if hex.EncodeToString(got) != want {
				t.Errorf("got %x, want %s", got, want)
			}
		})
	}
}

// opaque hides the state of a hash, as a future standard library might.
type opaque struct{ hash.Hash }

func TestIterateTakesBothWays(t *testing.T) {
	seed := bytes.Repeat([]byte("seed"), 32)
	tests := []struct {
		name string
		hash func() hash.Hash
	}{
		{"sha1", sha1.New},
		{"sha256", sha256.New},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, n := range []int{0, 1, 2, 3, 1000} {
				fast, plain := iterate(tt.hash(), seed, n), iterate(opaque{tt.hash()}, seed, n)
				if !bytes.Equal(fast, plain) {
					t.Errorf("%d rounds: by blocks %x, plain %x", n, fast, plain)
				}
			}
			// The bound on the cost of a name needs the fast path.
			if _, ok := iterateBlocks(tt.hash(), make([]byte, tt.hash().Size()), 1); !ok {
				t.Error("the state of the hash is not readable")
			}
			if _, ok := iterateBlocks(opaque{tt.hash()}, make([]byte, 20), 1); ok {
				t.Error("an unreadable state is read")
			}
		})
	}
}

func TestMACRefusesOtherHashes(t *testing.T) {
	var mac macData
	mac.Digest.Algorithm.Algorithm = oidData()
	if _, err := macSum(mac, nil, "abcd2345wxyz"); err == nil || !strings.Contains(err.Error(), "1.2.840.113549.1.7.1") {
		t.Errorf("error %v, want one that names the hash", err)
	}
}
