// Package arch holds the rules of the module's structure, as tests: what the top
// level holds, which package imports which, who may speak HTTP and SQL, how large
// types and packages get, and how comments are worded. It has no code.
package arch
