//go:build !witness

// Package witness notes what the keys of the CA sign, in a program that tests build with the tag
// witness: a record that owes nothing to the database. In every other program its functions are
// empty, and the linker drops them.
package witness

// Signing is called before the key of a CA signs.
func Signing([]byte) {}

// Point is called at a named step of an enrolment.
func Point(string) {}
