// Package stockflowtest is where Stockflow is tested as a process of its own: what starts and ends such processes, and the mail
// server that they send to, which outlives them. Only tests import it.
package stockflowtest
