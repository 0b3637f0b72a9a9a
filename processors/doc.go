// Package processors binds each machine to the log it reads.
package processors
