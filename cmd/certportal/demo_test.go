package main

import (
	"errors"
	"io"
	"strings"
	"testing"

	"certportal/cmd/certportal/internal/app"
	"certportal/internal/portal"
)

func TestA20_DemoLeavesRealFoldersAlone(t *testing.T) {
	i := &invocation{cli: &commands{}, io: streams{out: io.Discard, err: io.Discard}}
	tests := []struct {
		name     string
		live     func(p *app.App) error
		accounts int
	}{
		{"with accounts", func(p *app.App) error { return firstAdministrator(t.Context(), p, i) }, 1},
		{"with a directory elsewhere", func(p *app.App) error {
			// A refused sign-in is enough to show that the portal was used.
			_, err := p.SignIn.Assert(t.Context(), portal.Claim{UPN: "anna@corp.example"}, portal.Actor{})
			var refusal *portal.Refusal
			if errors.As(err, &refusal) {
				return nil
			}
			return err
		}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := openApp(t, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			if err := tt.live(p); err != nil {
				t.Fatal(err)
			}
			if err := samplePeople(t.Context(), p, i); err == nil || !strings.Contains(err.Error(), "not of a demo") {
				t.Errorf("samplePeople: %v", err)
			}
			accounts, err := p.Builtin.Accounts(t.Context())
			if err != nil || len(accounts) != tt.accounts {
				t.Errorf("%d accounts, %v, want %d", len(accounts), err, tt.accounts)
			}
		})
	}
}

func TestDemoPasswordsAreTrueAfterAChange(t *testing.T) {
	p, err := openApp(t, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	i := &invocation{cli: &commands{}, io: streams{out: &out, err: io.Discard}}
	if err := samplePeople(t.Context(), p, i); err != nil {
		t.Fatal(err)
	}
	if err := p.Builtin.SetPassword(t.Context(), "anna", "something else", byOperator()); err != nil {
		t.Fatal(err)
	}
	if err := samplePeople(t.Context(), p, i); err != nil {
		t.Fatal(err)
	}
	known, err := readPeople(p.Settings.Path("people.json"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Builtin.Authenticate(t.Context(), "anna", known["anna"]); err != nil {
		t.Errorf("the printed password: %v", err)
	}
}
