package slapd_test

import (
	"crypto/tls"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/test/slapd"
)

func TestTheServerIsReal(t *testing.T) {
	s := slapd.Start(t)
	anna := s.AddPerson(t, slapd.Person{Login: "anna", Mail: "anna@example.test"})
	if err := s.TryPassword(anna, slapd.Password); err != nil {
		t.Errorf("right password: %v", err)
	}
	if err := s.TryPassword(anna, "wrong"); !ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
		t.Errorf("wrong password: %v, want result 49", err)
	}
	s.Stop()
	if err := s.TryPassword(anna, slapd.Password); err == nil {
		t.Error("stopped server answers")
	}
	s.Restart()
	if err := s.TryPassword(anna, slapd.Password); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}

func TestPasswordsNeedTLS(t *testing.T) {
	s := slapd.Start(t)
	conn, err := ldap.DialURL(s.StartTLSURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Bind(slapd.Reader, slapd.ReaderPassword); !ldap.IsErrorWithCode(err, ldap.LDAPResultConfidentialityRequired) {
		t.Errorf("in the clear: %v, want result 13", err)
	}
	if err := conn.StartTLS(&tls.Config{RootCAs: s.Roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}); err != nil {
		t.Fatal(err)
	}
	if err := conn.Bind(slapd.Reader, slapd.ReaderPassword); err != nil {
		t.Errorf("after StartTLS: %v", err)
	}
}
