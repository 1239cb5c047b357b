//go:build pkcs11

package hsm_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"certportal/ca"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/hsm"
	"certportal/internal/test/softhsm"
	"certportal/internal/test/testkit"
)

// tokensOf describes the token "keys" of a module.
func tokensOf(t testing.TB, h *softhsm.HSM) *hsm.Tokens {
	t.Helper()
	tokens := hsm.New(hsm.Config{
		Module: h.Module, Patience: 2 * time.Second, Every: 100 * time.Millisecond,
		Tokens: []hsm.TokenConfig{{Label: "keys", PINFile: h.PINFile, PIN: func() ([]byte, error) { return config.ReadSecret(h.PINFile) }}},
	})
	t.Cleanup(func() { _ = tokens.Close() })
	return tokens
}

func created(t testing.TB, tokens *hsm.Tokens, kind ca.KeyKind) *hsm.Key {
	t.Helper()
	key, err := tokens.Create("keys", "certportal issuing", kind)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// signs lets a key sign once.
func signs(key crypto.Signer) error {
	digest := sha256.Sum256([]byte("octets"))
	_, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	return err
}

// runs looks after the tokens until the end of the test.
func runs(t *testing.T, tokens *hsm.Tokens) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); tokens.Run(ctx, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() { cancel(); <-done })
}

func mustSay(t *testing.T, what string, err error, want ...string) {
	t.Helper()
	for _, text := range want {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: got %v, want it to say %q", what, err, text)
		}
	}
}

// Keys of all kinds are made, sign what the public key verifies, and are found again by
// their references. They cannot leave the token.
func TestKeysOfAllKinds(t *testing.T) {
	h := softhsm.New(t, "keys", "others")
	tokens := tokensOf(t, h)
	for _, kind := range []ca.KeyKind{ca.RSA3072, ca.RSA4096, ca.ECP256, ca.ECP384} {
		t.Run(string(kind), func(t *testing.T) {
			if err := tokens.Check("keys", kind); err != nil {
				t.Fatal(err)
			}
			made := created(t, tokens, kind)
			key := testkit.Must(tokensOf(t, h).Open(made.Reference()))(t)
			if err := key.Find(); err != nil {
				t.Fatal(err)
			}
			digest := sha256.Sum256([]byte("octets"))
			signature := testkit.Must(key.Sign(rand.Reader, digest[:], crypto.SHA256))(t)
			switch public := key.Public().(type) {
			case *rsa.PublicKey:
				if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature); err != nil {
					t.Error(err)
				}
			case *ecdsa.PublicKey:
				if !ecdsa.VerifyASN1(public, digest[:], signature) {
					t.Error("the signature does not verify")
				}
			}
		})
	}
	shown := h.Show("keys")
	if strings.Count(shown, "Private Key Object") != 4 || strings.Count(shown, "sensitive, always sensitive, never extractable") != 4 {
		t.Errorf("keys could leave the token:\n%s", shown)
	}
	if strings.Contains(shown, "decrypt") || strings.Contains(shown, "unwrap") {
		t.Errorf("keys do more than sign:\n%s", shown)
	}
}

// A wrong PIN is tried once, also by what looks after the token, until its file changes:
// tokens lock after a few.
func TestF23_WrongPINIsTriedOnce(t *testing.T) {
	h := softhsm.New(t, "keys")
	fault := h.Faulty()
	maker := tokensOf(t, h)
	file := created(t, maker, ca.ECP256).Reference()
	if err := maker.Close(); err != nil {
		t.Fatal(err)
	}
	h.SetPIN("111111")
	tokens := tokensOf(t, h)
	key := testkit.Must(tokens.Open(file))(t)
	before := fault.Calls("C_Login")
	key.Watch()
	mustSay(t, "at first", key.Ready(), "PIN in "+h.PINFile, "the token refuses the PIN", "put the right one there")
	for range 10 {
		key.Watch() // looks at the token
	}
	mustSay(t, "later", signs(key), "not tried again until the file changes", "lock after a few wrong PINs")
	if got := fault.Calls("C_Login") - before; got != 1 {
		t.Errorf("the wrong PIN was tried %d times, want once", got)
	}
	h.SetPIN(softhsm.PIN)
	runs(t, tokens)
	testkit.Eventually(t, "the right PIN opens the token", func() bool { return key.Ready() == nil })
	if err := signs(key); err != nil {
		t.Error(err)
	}
}

// A token whose files are taken away cannot sign; when it is back it does, in the same
// process.
func TestF23_TokenGoneAndBack(t *testing.T) {
	h := softhsm.New(t, "keys")
	tokens := tokensOf(t, h)
	key := created(t, tokens, ca.ECP256)
	key.Watch()
	runs(t, tokens)
	if err := signs(key); err != nil {
		t.Fatal(err)
	}
	h.Remove()
	testkit.Eventually(t, "the loss is noticed", func() bool { return key.Ready() != nil })
	if err := signs(key); err == nil {
		t.Error("a token that is gone signs")
	}
	h.Restore()
	testkit.Eventually(t, "the token is back", func() bool { return key.Ready() == nil })
	if err := signs(key); err != nil {
		t.Error(err)
	}
}

// A token can fail in the middle of a signature. Where only its session ended, as after a
// restart of a network HSM, the signature is made in a new one.
func TestF23_TokenGoneInTheMiddleOfASignature(t *testing.T) {
	h := softhsm.New(t, "keys")
	fault := h.Faulty()
	tokens := tokensOf(t, h)
	key := created(t, tokens, ca.ECP256)
	key.Watch()
	runs(t, tokens)
	for _, test := range []struct {
		function, want string
		code           int
	}{
		{"C_Sign", "the token is gone (pkcs11: 0x32: CKR_DEVICE_REMOVED)", softhsm.DeviceRemoved},
		{"C_SignInit", "the token is gone (pkcs11: 0xE0: CKR_TOKEN_NOT_PRESENT)", softhsm.TokenNotPresent},
		{"C_Sign", "CKR_GENERAL_ERROR", softhsm.GeneralError},
	} {
		fault.Set(test.function, test.code, 0)
		mustSay(t, test.function, signs(key), test.want)
		fault.Clear()
		testkit.Eventually(t, "it is back", func() bool { return key.Ready() == nil })
		if err := signs(key); err != nil {
			t.Errorf("after %s: %v", test.want, err)
		}
	}
	fault.Set("C_Sign", softhsm.SessionHandleInvalid, 0)
	before := fault.Calls("C_Sign")
	mustSay(t, "no session holds", signs(key), "session with the token ended", "CKR_SESSION_HANDLE_INVALID")
	if got := fault.Calls("C_Sign") - before; got != 2 {
		t.Errorf("%d signatures were tried, want one and one more in a new session", got)
	}
	fault.Once("C_Sign", softhsm.SessionHandleInvalid)
	testkit.Eventually(t, "it is back", func() bool { return key.Ready() == nil })
	if err := signs(key); err != nil {
		t.Errorf("with a new session: %v", err)
	}
}

// A token that hangs holds a signature for a limited time, and a question about it not at
// all.
func TestF23_TokenThatHangs(t *testing.T) {
	h := softhsm.New(t, "keys")
	fault := h.Faulty()
	tokens := tokensOf(t, h)
	key := created(t, tokens, ca.ECP256)
	key.Watch()
	fault.Set("C_Sign", 0, 5*time.Second)
	before := fault.Calls("C_Sign")
	done := make(chan error, 1)
	go func() { done <- signs(key) }()
	testkit.Eventually(t, "the token hangs", func() bool { return fault.Calls("C_Sign") > before })
	for range 20 {
		_ = key.Ready()
	}
	select {
	case <-done:
		t.Fatal("asking whether the key is ready waited for a token that hangs")
	default:
	}
	// Said before the token answers: it would answer with a signature.
	mustSay(t, "a token that hangs", <-done, "does not answer")
	fault.Clear()
	runs(t, tokens)
	testkit.Eventually(t, "it is back", func() bool { return key.Ready() == nil })
	if err := signs(key); err != nil {
		t.Error(err)
	}
}

// A burst on a slow token is no loss of the token: a signature that gets no turn in time is refused.
func TestF23_BurstOnASlowToken(t *testing.T) {
	h := softhsm.New(t, "keys")
	fault := h.Faulty()
	tokens := tokensOf(t, h)
	key := created(t, tokens, ca.ECP256)
	key.Watch()
	fault.Set("C_Sign", 0, 400*time.Millisecond)
	const burst = 40
	errs := make(chan error, burst)
	for range burst {
		go func() { errs <- signs(key) }()
	}
	var made, busy int
	for range burst {
		switch err := <-errs; {
		case err == nil:
			made++
		case strings.Contains(err.Error(), "too many signatures wait"):
			busy++
		default:
			t.Errorf("got %v", err)
		}
		if err := key.Ready(); err != nil {
			t.Fatalf("the token counts as lost: %v", err)
		}
	}
	if made == 0 || busy == 0 {
		t.Errorf("%d signatures were made, %d had no turn", made, busy)
	}
}

// Sixteen signatures at once are all made, with fewer sessions.
func TestSignaturesAtOnce(t *testing.T) {
	h := softhsm.New(t, "keys")
	key := created(t, tokensOf(t, h), ca.ECP256)
	var group sync.WaitGroup
	errs := make(chan error, 160)
	for range 16 {
		group.Go(func() {
			for range 10 {
				errs <- signs(key)
			}
		})
	}
	group.Wait()
	for range 160 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}

// What else can be wrong with a token is a sentence, and nothing is left in it.
func TestF23_BadTokens(t *testing.T) {
	h := softhsm.New(t, "keys", "others")
	fault := h.Faulty()
	tokens := tokensOf(t, h)
	key := created(t, tokens, ca.ECP256)
	objects := h.Objects()

	fault.Set("C_GenerateKeyPair", softhsm.DeviceMemory, 0)
	_, err := tokens.Create("keys", "certportal issuing", ca.ECP256)
	mustSay(t, "full", err, "the token is full")
	fault.Clear()
	_, err = tokens.Create("keys", "certportal issuing", ca.RSA2048)
	mustSay(t, "another kind", err, "not made in tokens")
	if got := h.Objects(); got != objects {
		t.Errorf("%d objects in the tokens, want %d", got, objects)
	}

	mustSay(t, "unknown to the settings", tokens.Check("nothing", ca.ECP256), `the settings name no token "nothing"`)
	absent := hsm.New(hsm.Config{Module: h.Module, Tokens: []hsm.TokenConfig{{Label: "absent", PIN: func() ([]byte, error) { return []byte("1"), nil }}}})
	mustSay(t, "absent", absent.Check("absent", ca.ECP256), `there is no token "absent"`, `there is "keys", "others"`)
	for module, want := range map[string]string{"/nothing.so": "no such file", h.PINFile: "is no PKCS#11 module for this machine"} {
		other := hsm.New(hsm.Config{Module: module, Tokens: []hsm.TokenConfig{{Label: "keys", PIN: func() ([]byte, error) { return []byte("1"), nil }}}})
		mustSay(t, module, other.Check("keys", ca.ECP256), want)
	}

	twin := created(t, tokens, ca.ECP256)
	h.AddTwin("keys", twin.Reference())
	twice := testkit.Must(tokensOf(t, h).Open(twin.Reference()))(t)
	mustSay(t, "two keys", twice.Find(), "there are 2 keys with this label and id")

	lost := created(t, tokens, ca.ECP256)
	if err := lost.Destroy(); err != nil {
		t.Fatal(err)
	}
	gone := testkit.Must(tokensOf(t, h).Open(lost.Reference()))(t)
	mustSay(t, "no key", gone.Find(), "there is no such key in the token")
	gone.Watch()
	mustSay(t, "no key, watched", gone.Ready(), "there is no such key in the token")

	// A key that is lost for good does not end the sessions of the others.
	key.Watch()
	lost.Watch()
	logins := fault.Calls("C_Login")
	for range 10 {
		lost.Watch() // looks at the token
		if err := key.Ready(); err != nil {
			t.Fatalf("beside a key that is lost: %v", err)
		}
	}
	if got := fault.Calls("C_Login"); got != logins {
		t.Errorf("%d logins because of a key that is lost", got-logins)
	}

	another := testkit.Must(hsm.ParseReference(lost.Reference()))(t)
	third := testkit.Must(hsm.ParseReference(created(t, tokens, ca.ECP256).Reference()))(t)
	third.Public = another.Public
	swapped := testkit.Must(tokensOf(t, h).Open(testkit.Must(third.Encode())(t)))(t)
	mustSay(t, "another key", signs(swapped), "another key than the one whose file")
}

// A token on a disk without space makes no key, and leaves none behind.
func TestF23_TokenFull(t *testing.T) {
	h := softhsm.New(t, "keys")
	tokens := tokensOf(t, h)
	created(t, tokens, ca.ECP256)
	objects := h.Objects()
	h.Fill()
	_, err := tokens.Create("keys", "certportal issuing", ca.RSA3072)
	mustSay(t, "full", err, "may be full or write-protected")
	if got := h.Objects(); got != objects {
		t.Errorf("%d objects in the token, want %d", got, objects)
	}
}
