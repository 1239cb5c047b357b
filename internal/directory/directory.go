// Package directory implements portal.Directory: it checks passwords, and reads the
// people whose names and SIDs go into certificates.
//
// LDAP is a client of Active Directory, or of another LDAP server (RFC 4511). It finds
// a person with a service account, binds with the DN it found to check the password,
// and reads names, state and groups again on every call: nothing about a person is
// cached. It requires TLS, never follows a referral with a password, and never sends
// an empty password (RFC 4513 section 5.1.2). An attribute it cannot read is an error,
// never "enabled" or "no groups". LDAP.Check tests an installation for config check.
//
// Builtin keeps its accounts in the portal's store, with passwords hashed by argon2id.
// It serves installations without Active Directory, the demo, and a first
// administrator.
//
// CRLPublisher writes CRLs into directory entries, for clients that fetch them over
// LDAP.
package directory
