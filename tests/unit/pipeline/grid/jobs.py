"""Jobs for tests of executors."""
