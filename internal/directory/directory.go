// Package directory fulfils what the heart asks of a directory: who people are,
// whether a password is theirs, and what stands in their certificates.
//
// LDAP is a client of Active Directory, or of another server over LDAP (RFC 4511).
// It looks a person up with an account of its own, tries the password with the DN
// it found, and reads names, state and groups anew every time; it remembers no
// answer about a person. It refuses to speak without TLS, to follow referrals
// with a password, to send an empty password (RFC 4513 section 5.1.2), and to
// guess: what it cannot read is an error, never "enabled" or "no groups".
//
// The built-in directory keeps its accounts in the portal's own store, with
// passwords under argon2id. It is for installations without Active Directory,
// for the demo, and for a first administrator.
package directory
