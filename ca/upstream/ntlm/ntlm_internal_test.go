package ntlm

import (
	"bytes"
	"encoding/hex"
	"testing"
)

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sameBytes(t *testing.T, what string, got []byte, want string) {
	t.Helper()
	if !bytes.Equal(got, unhex(t, want)) {
		t.Errorf("%s: got %x, want %s", what, got, want)
	}
}

// The values of MS-NLMP section 4.2.4, NTLM v2 authentication.
func TestVectorsOfMSNLMP(t *testing.T) {
	a := Account{Domain: "Domain", User: "User", Password: "Password"}
	key := a.key()
	sameBytes(t, "NTOWFv2", key, "0c868a403bfd7a93a3001ef22ef02e3f")
	info := []byte{2, 0, 12, 0}
	info = append(info, units("Domain")...)
	info = append(info, 1, 0, 12, 0)
	info = append(info, units("Server")...)
	info = append(info, 0, 0, 0, 0)
	response, session := proof(key, unhex(t, "0123456789abcdef"), unhex(t, "aaaaaaaaaaaaaaaa"), make([]byte, 8), info)
	sameBytes(t, "NTProofStr", response[:16], "68cd0ab851e51c96aabc927bebef6a1c")
	sameBytes(t, "session base key", session, "8de40ccadbc14a82f15cb0ad0de95ca3")
}
