// Package directory fulfils what the heart asks of a directory: who people are,
// whether a password is theirs, and what stands in their certificates.
//
// The built-in directory keeps its accounts in the portal's own store, with
// passwords under argon2id. It is for installations without Active Directory,
// for the demo, and for a first administrator.
package directory
