int host_library() {
  return 1;
}
