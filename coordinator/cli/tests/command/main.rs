//! The command as people run it, against a coordinator made of answers: exit codes, what is asked, what is shown, and what
//! becomes of a watch when the coordinator dies.

mod drawings;
mod drift;
mod fake;
mod following;
mod hosts;
mod judge;
mod offline;
mod playbooks;
mod shell;
mod simulate;
mod things;
mod verbs;
